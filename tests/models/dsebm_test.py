"""A deep energy model around a learned visible bias."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv


def network(shape, seed=0):
    if len(shape) == 3:
        return dv.networks.cnn((2, 2), 3, activation="softplus", dtype="float64", seed=seed)
    return dv.networks.ffnn((4, 3), "tanh", dtype="float64", seed=seed)


def made(kind=dv.DSEBM, shape=(3,), **kwargs):
    model = kind(network(shape), normalization="none", dtype="float64", **kwargs)
    model.build((None, *shape))
    return model


@pytest.mark.parametrize("bias", ["each", "channel"])
@pytest.mark.parametrize("shape", [(3,), (4, 3, 2)])
def test_the_energy_is_a_sum_over_binary_hidden_variables_around_the_bias(shape, bias, rng):
    """E(x) = −log Σ_h exp(−½‖x−b‖² + hᵀf(x)); each factor of the sum over h by itself."""
    model, x = made(shape=shape, visible_bias=bias), rng.normal(size=(5, *shape))
    b = rng.normal(size=shape if bias == "each" else shape[-1:])
    model.visible.mean.assign(b)
    f = model.network(x).numpy().reshape(5, -1)
    quadratic = 0.5 * np.square(x - b).reshape(5, -1).sum(axis=1)
    if f.shape[1] <= 3:
        states = np.array(list(itertools.product([0, 1], repeat=f.shape[1])))
        log_sum = np.log(np.exp(f @ states.T).sum(axis=1))
    else:
        log_sum = np.log(np.exp(0) + np.exp(f)).sum(axis=1)
    np.testing.assert_allclose(model.energy(x), quadratic - log_sum, rtol=1e-11)
    np.testing.assert_allclose(
        model.hidden(x).numpy().reshape(5, -1), np.exp(f) / (1 + np.exp(f)), rtol=1e-11
    )


@pytest.mark.parametrize("bias", ["each", "channel"])
def test_with_a_bias_of_zero_it_is_a_dem(bias, rng):
    shape = (4, 3, 2)
    ours, theirs = made(shape=shape, visible_bias=bias), made(dv.DEM, shape)
    x = rng.normal(size=(5, *shape))
    np.testing.assert_array_equal(ours.visible.mean, np.zeros(ours.visible.mean.shape))
    for name in ("energy", "score", "hidden", "reconstruct", "features"):
        np.testing.assert_allclose(getattr(ours, name)(x), getattr(theirs, name)(x), rtol=1e-12)
    ours.visible.mean.assign(rng.normal(size=ours.visible.mean.shape))
    assert not np.allclose(ours.energy(x), theirs.energy(x))


def test_the_reconstruction_is_the_bias_plus_the_hidden_mean_pulled_back(rng):
    model, x = made(), rng.normal(size=(4, 3))
    model.visible.mean.assign(rng.normal(size=3))
    with tf.GradientTape() as tape:
        z = tf.constant(x)
        tape.watch(z)
        f = model.network(z)
    jacobian = tape.batch_jacobian(f, z).numpy()
    pulled = np.einsum("nmi,nm->ni", jacobian, 1 / (1 + np.exp(-f)))
    np.testing.assert_allclose(model.reconstruct(x), model.visible.mean.numpy() + pulled, rtol=1e-9)
    h = 1e-5
    slopes = [(model.energy(x + h * e) - model.energy(x - h * e)) / (2 * h) for e in np.eye(3)]
    np.testing.assert_allclose(model.reconstruct(x), x - np.stack(slopes, 1), rtol=1e-6, atol=1e-8)


def test_the_bias_is_learned(rng):
    """With a network that gives nothing, score matching puts the bias at the mean of the data."""
    body = keras.Sequential([keras.layers.Dense(2, kernel_initializer="zeros")])
    body.trainable = False
    model = dv.DSEBM(body, normalization="none")
    x = rng.normal([1.0, -2.0, 0.5], size=(1000, 3)).astype("float32")
    model.build((None, 3))
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 200)
    model.compile(keras.optimizers.Adam(schedule), steps_per_execution=100)
    model.fit(tf.data.Dataset.from_tensors(x).repeat(200), verbose=0)
    np.testing.assert_allclose(model.visible.mean, x.mean(axis=0), atol=1e-3)


def test_the_default_is_a_bias_of_each_value():
    assert made(shape=(4, 3, 2)).visible.mean.shape == (4, 3, 2)
    assert made(shape=(4, 3, 2), visible_bias="channel").visible.mean.shape == (2,)


def test_bad_biases():
    with pytest.raises(ValueError, match=r"a DSEBM has a visible bias.*it is a dv.DEM"):
        made(visible_bias=None)
    with pytest.raises(ValueError, match="unknown visible_bias 'all'; expected None or one of"):
        made(visible_bias="all")
    with pytest.raises(ValueError, match="no effect without a quadratic part"):
        made(visible_precision="zero")
