import numpy as np
import pytest

import delvm_tf as dv
from delvm_tf.datasets import Dataset
from tuning.measures import MEASURES


def gaussian(rng, abnormal):
    x = rng.normal(size=(200, 3)).astype("float32") * [3, 2, 1]
    y = np.zeros(200, int)
    if abnormal:
        x[150:] += 8
        y[150:] = 1
    return Dataset("g", "anomaly", 0, x[:100], y[:100], x[100:], y[100:])


def trained(x, normalization, scale):
    model = dv.GaussianRBM(2, normalization=normalization, scale=scale, seed=0)
    model.adapt(x)
    return model


def test_auroc_is_that_of_the_better_score(rng):
    data = gaussian(rng, True)
    assert MEASURES["auroc"].function(trained(data.x_train, "center", 1.0), data) > 0.9
    with pytest.raises(ValueError, match="classifier needs classes"):
        MEASURES["probe"].function(trained(data.x_train, "center", 1.0), data)


@pytest.mark.parametrize("gain", [0.5, 3.0])
def test_held_out_loss_does_not_depend_on_the_scale(rng, gain):
    """The density N(0, 1/g²) of raw inputs, as an energy of g·x: J = ½g⁴E‖x‖² − g²d."""
    data = gaussian(rng, False)
    model = dv.DELVM(
        dv.networks.ffnn((4,), seed=0), normalization=dv.normalization.InputNormalization(
            "none", scale=gain
        ),
    )  # fmt: skip
    model.build((None, 3))
    for weight in model.trainable_variables:
        weight.assign(np.zeros(weight.shape))
    found = MEASURES["loss"].function(model, data)
    x = data.x_test.astype(float)
    expected = 0.5 * gain**4 * np.square(x).sum(1).mean() - 3 * gain**2
    assert found == pytest.approx(expected, rel=1e-5)


def test_losses_that_cannot_be_compared_are_refused(rng):
    data = gaussian(rng, False)
    with pytest.raises(ValueError, match="scaled alike"):
        MEASURES["loss"].function(trained(data.x_train, "zscore", 1.0), data)
