import numpy as np

import delvm_tf as dv
from trainers.experiments.generation import likelihood as module
from trainers.experiments.generation.likelihood import Likelihood, likelihood


def test_an_untrained_model_and_its_flow_know_normal_images(rng, monkeypatch):
    """It is N(mean, s²(1+σ²)I), which images of independent normal values have."""
    monkeypatch.setattr(module, "STEPS", 100)
    monkeypatch.setattr(module, "BY_FLOW", 16)
    train, real = 5 + 3 * rng.normal(size=(2, 4000, 4, 4, 1)).astype("float32")
    model = dv.DensityDELVM(
        dv.networks.LevelUNet((2,), seed=0), smallest_noise=0.1, largest_noise=30.0
    )
    model.adapt(train)
    model.build((None, 4, 4, 1))
    found = likelihood(model, train, real[:500], seed=0)
    entropy = 0.5 * np.log2(2 * np.pi * np.e * 9 * (1 + 0.1**2))
    error = 1 / np.log(2) / np.sqrt(2 * 500 * 16)  # ½ε² a value has the variance ½
    assert abs(found.density - entropy) < 5 * error
    assert abs(found.normal - entropy) < 5 * error + 0.01  # learned from 4,000
    assert abs(found.flow_of_some - found.density_of_some) < 0.003
    assert (found.images, found.some) == (500, 16)
    assert f"{found.density:.3f} by the model's density" in found.text
    assert Likelihood(**found._asdict()) == found
