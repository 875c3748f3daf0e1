import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

import delvm_tf as dv
from delvm_tf.detection import FeatureDetector, LayerScores, NoiseScores, PrincipalGaussian


@pytest.fixture
def x(rng):
    return rng.normal(size=(30, 5)).astype("float32")


@pytest.fixture
def model(x):
    model = dv.DELVM(dv.networks.ffnn((7, 4), seed=1), scale=1.5)
    model.adapt(x)
    return model


@pytest.mark.parametrize("score", ["energy", "reconstruction_error"])
def test_scores_by_layer_are_those_of_the_cut_off_network(model, x, score):
    flags = [layer.trainable for layer in model.network.layers]
    table = LayerScores(model, score)(x)
    assert [layer.trainable for layer in model.network.layers] == flags
    z = tf.cast(model.normalization(x), tf.float64)

    def f(z, depth):
        for layer in model.network.layers[:depth]:
            z = tf.nn.relu(z @ tf.cast(layer.kernel, z.dtype) + tf.cast(layer.bias, z.dtype))
        return z

    for depth in (1, 2):
        with tf.GradientTape() as tape:
            tape.watch(z)
            energy = 0.5 * (tf.reduce_sum(z**2, 1) - tf.reduce_sum(f(z, depth) ** 2, 1))
        gradient = tape.gradient(energy, z)
        expected = (
            energy.numpy() if score == "energy" else np.log(np.sum(gradient.numpy() ** 2, axis=1))
        )
        np.testing.assert_allclose(table[:, depth - 1], expected, rtol=1e-4, atol=1e-4)


def test_scores_at_noise_levels_are_logs_of_the_gradients_norm(model, x):
    scores = NoiseScores(model, levels=(0.0, 2.0), draws=3, seed=5)(x)
    np.testing.assert_allclose(
        scores[:, 0], np.log(model.reconstruction_error(x)), rtol=1e-4, atol=1e-4
    )
    drawn = tf.random.stateless_normal((3, 5), [5, 0])
    z = model.normalization(x)
    logs = [
        np.log(np.sum(np.square(model.normalized_gradient(z + 2.0 * e)), axis=1)) for e in drawn
    ]
    np.testing.assert_allclose(scores[:, 1], np.mean(logs, axis=0), rtol=1e-4, atol=1e-4)


def test_a_score_at_noise_levels_depends_on_the_example_alone(model, x):
    function = NoiseScores(model)
    np.testing.assert_allclose(function(x)[7:9], function(x[7:9]), rtol=1e-4, atol=1e-4)


def test_more_noise_sees_farther(rng):
    """‖∇E‖² of a Gaussian is small at its mean, where only the pull at a distance shows spread."""
    x = rng.normal(size=(400, 8)).astype("float32")
    middle = 0.01 * rng.normal(size=(100, 8)).astype("float32")
    model = dv.DELVM(dv.networks.ffnn(4), normalization="none")
    model.network.build((None, 8))
    model.network.set_weights([np.zeros_like(w) for w in model.network.get_weights()])
    detector = FeatureDetector(NoiseScores(model, (0.0, 1.0)), PrincipalGaussian(2)).fit(x)
    labels = np.repeat([0, 1], [400, 100])
    both = np.concatenate([x, middle])
    assert roc_auc_score(labels, model.reconstruction_error(both)) < 0.01
    assert roc_auc_score(labels, -detector.score_samples(both)) > 0.99


def test_images_and_convolutions(rng):
    x = rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    model = dv.DEM(dv.networks.cnn((3, 2), 3))
    model.adapt(x)
    assert LayerScores(model)(x).shape == (6, 2)
    assert NoiseScores(model)(x).shape == (6, 4)


@pytest.mark.parametrize("make", [LayerScores, NoiseScores])
def test_only_energies(make):
    with pytest.raises(TypeError, match="got Autoencoder"):
        make(dv.Autoencoder(dv.networks.ffnn(3)))


def test_bad_arguments(model):
    with pytest.raises(ValueError, match="unknown criterion 'loss'; expected one of energy"):
        LayerScores(model, "loss")
    with pytest.raises(ValueError, match="is not built"):
        LayerScores(dv.DELVM(dv.networks.ffnn(3)))
    for levels in ((), (-1.0,), (np.inf,)):
        with pytest.raises(ValueError, match="one or more numbers, none negative"):
            NoiseScores(model, levels)
    with pytest.raises(ValueError, match="draws must be positive, got 0"):
        NoiseScores(model, draws=0)
