import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from delvm_tf.catalog import Specification
from trainers.experiments.patches import DICTIONARIES, Learned, learn_model
from trainers.recipes.patches import METHODS, patch_method


@pytest.fixture
def patches(rng):
    return rng.normal(size=(300, 8)).astype("float32")


@pytest.mark.parametrize(("normalization", "scale"), [("none", 2.0), ("zscore", 1.5)])
def test_filters_of_a_model_are_its_weights_on_the_patches(patches, normalization, scale):
    """Up to a bias they give the hidden variables of a linear layer."""
    settings = {"units": [5], "activation": "linear", "normalization": normalization}
    recipe = Specification("delvm", model_settings={**settings, "scale": scale}, epochs=1)
    learned = learn_model(recipe, patches * np.arange(1, 9, dtype="float32"), seed=0)
    hidden = learned.encoder("hidden")(tf.constant(patches)).numpy()
    response = patches @ learned.filters
    np.testing.assert_allclose(hidden - hidden[0], response - response[0], atol=1e-4)
    assert response.std() > 0.1


FAST = ("sm-delvm", "dsm-dem", "cd-gaussian-rbm", *DICTIONARIES)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in FAST else pytest.mark.slow)
        for name in METHODS
        if not name.endswith("-dbm")  # which needs two layers
    ],
)
def test_every_method_learns_something_to_encode_by(patches, name):
    if name in DICTIONARIES:
        learned = Learned(DICTIONARIES[name](patches, 6, 0))
    else:
        recipe = patch_method(name, 6).specification
        steps = {"k": 2} if name.startswith("langevin") else {}
        short = dataclasses.replace(
            recipe, epochs=1, objective_settings={**recipe.objective_settings, **steps}
        )
        learned = learn_model(short, patches, seed=0)
    encoder = "hidden" if learned.filters is None else "signed"
    codes = learned.encoder(encoder, 0.1)(tf.constant(patches)).numpy()
    assert codes.shape == (300, 12 if encoder == "signed" else 6)
    assert np.isfinite(codes).all()
    assert codes.std(axis=0).min() > 0


def test_encoders_that_a_method_cannot_have_are_refused(patches):
    with pytest.raises(ValueError, match=r"'hidden' is that of a model.*rectifier"):
        Learned(patches.T).encoder("hidden")
    with pytest.raises(ValueError, match="needs linear filters"):
        Learned(None, tf.identity).encoder("signed")


def test_titles_and_unknown_methods():
    assert patch_method("sm-delvm", 4).title == "SM-DELVM"
    assert patch_method("cd-gaussian-rbm", 4).title == "CD-Gaussian RBM"
    assert patch_method("kmeans", 4).title == "k-means"
    assert patch_method("sm-delvm", 4).specification.model_settings["units"] == [4]
    with pytest.raises(ValueError, match=r"unknown method 'nonsense'.*sm-delvm"):
        patch_method("nonsense", 4)
