"""The quadratic part against NumPy's linear algebra and sampling moments."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from delvm_tf.models.visible import BIASES, QuadraticVisible

SHAPES = [(3,), (2, 1, 2)]
PRECISIONS = [None, "scalar", "diagonal", "full"]
COMBINATIONS = [(p, b, s) for p in PRECISIONS for b in (None, *BIASES) for s in SHAPES]
parametrized = pytest.mark.parametrize(("precision", "bias", "shape"), COMBINATIONS)


def made(precision, bias, shape, rng, dtype="float64"):
    """A quadratic part of random weights; the root of a full precision is not symmetric."""
    visible = QuadraticVisible(precision, bias, dtype=dtype)
    visible.build((None, *shape))
    d = math.prod(shape)
    if precision == "full":
        visible.root.assign(np.eye(d) + 0.5 * rng.normal(size=(d, d)))
        assert not np.allclose(visible.root.numpy(), visible.root.numpy().T)
    elif precision not in (None, "zero"):
        visible.root.assign(rng.uniform(0.6, 1.5, size=visible.root.shape))
    if bias is not None:
        visible.mean.assign(rng.normal(size=visible.mean.shape))
    return visible


def dense(visible, shape):
    """Λ and b as a matrix and a vector."""
    d = math.prod(shape)
    b = np.zeros(d)
    if visible.bias is not None:
        b = np.broadcast_to(visible.mean.numpy(), shape).reshape(-1)
    if visible.precision is None:
        return np.eye(d), b
    root = visible.root.numpy()
    if visible.precision != "full":
        root = np.diag(np.broadcast_to(root, shape).reshape(-1))
    return root.T @ root, b


@parametrized
def test_energy_gradient_and_laplacian(precision, bias, shape, rng):
    visible = made(precision, bias, shape, rng)
    matrix, b = dense(visible, shape)
    z = tf.constant(rng.normal(size=(5, *shape)))
    centered = z.numpy().reshape(5, -1) - b
    energy = 0.5 * np.einsum("ni,ij,nj->n", centered, matrix, centered)
    np.testing.assert_allclose(visible.energy(z), energy, rtol=1e-12)
    gradient = (centered @ matrix).reshape(z.shape)
    np.testing.assert_allclose(visible.gradient(z), gradient, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(visible.laplacian(z), np.full(5, np.trace(matrix)), rtol=1e-12)
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = visible.energy(z)
    np.testing.assert_allclose(tape.gradient(value, z), gradient, rtol=1e-11, atol=1e-13)


@parametrized
def test_draws_have_the_moments_of_the_density(precision, bias, shape, rng):
    """∝ exp(linearᵀz − q(z)) is N(b + Λ⁻¹linear, Λ⁻¹)."""
    n, d = 40_000, math.prod(shape)
    visible = made(precision, bias, shape, rng)
    matrix, b = dense(visible, shape)
    linear = rng.normal(size=d)
    mean, covariance = b + np.linalg.solve(matrix, linear), np.linalg.inv(matrix)
    batch = tf.tile(tf.constant(linear.reshape(1, *shape)), (n, *([1] * len(shape))))
    draws = visible.sample(batch, tf.constant([1, 2]), 1.0).numpy().reshape(n, d)
    spread = np.sqrt(np.diag(covariance))
    assert np.all(np.abs(draws.mean(axis=0) - mean) < 5 * spread / np.sqrt(n))
    got = np.cov(draws.T)
    # the variance of a sample covariance of normal variables is (ΣᵢᵢΣⱼⱼ + Σᵢⱼ²)/n
    deviation = np.sqrt((np.outer(spread, spread) ** 2 + np.square(covariance)) / n)
    assert np.all(np.abs(got - covariance) < 5 * deviation)


@parametrized
def test_without_noise_a_draw_is_the_mean(precision, bias, shape, rng):
    visible = made(precision, bias, shape, rng)
    matrix, b = dense(visible, shape)
    linear = rng.normal(size=(4, math.prod(shape)))
    mean = b + np.linalg.solve(matrix, linear.T).T
    got = visible.sample(tf.constant(linear.reshape(4, *shape)), tf.constant([1, 2]), 0.0)
    np.testing.assert_allclose(got, mean.reshape(4, *shape), rtol=1e-10)
    # half the noise is half the way
    half, full = (
        visible.sample(tf.constant(linear.reshape(4, *shape)), tf.constant([1, 2]), level)
        for level in (0.5, 1.0)
    )
    np.testing.assert_allclose(half - got, 0.5 * (full - got), rtol=1e-9, atol=1e-12)


def test_the_mean_is_the_fixed_point_of_the_gradient(rng):
    """∇q at a draw without noise is `linear` itself."""
    visible = made("full", "each", (3,), rng)
    linear = tf.constant(rng.normal(size=(4, 3)))
    at = visible.sample(linear, tf.constant([0, 0]), 0.0)
    np.testing.assert_allclose(visible.gradient(at), linear, rtol=1e-10)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("bias", [None, *BIASES])
def test_it_starts_as_half_the_squared_norm(precision, bias, rng):
    visible = QuadraticVisible(precision, bias)
    visible.build((None, 2, 1, 2))
    z = tf.constant(rng.normal(size=(5, 2, 1, 2)).astype("float32"))
    expected = 0.5 * np.square(z).reshape(5, -1).sum(axis=1)
    np.testing.assert_allclose(visible.energy(z), expected, rtol=1e-6)
    np.testing.assert_allclose(visible.laplacian(z), np.full(5, 4.0))
    assert visible.energy(z).dtype == tf.float32


def test_zero_precision_is_no_quadratic_part(rng):
    visible = made("zero", None, (3,), rng)
    z = tf.constant(rng.normal(size=(4, 3)))
    assert visible.is_zero
    assert visible.variables == []
    for value, shape in (
        (visible.energy(z), (4,)), (visible.gradient(z), (4, 3)), (visible.laplacian(z), (4,)),
    ):  # fmt: skip
        np.testing.assert_array_equal(value, np.zeros(shape))
        assert value.dtype == tf.float64
    with pytest.raises(ValueError, match="without a quadratic part x given h has no density"):
        visible.sample(z, tf.constant([0, 0]), 1.0)


def test_a_full_precision_in_a_graph_of_unknown_batch_size(rng):
    visible = made("full", "each", (3,), rng)
    z = tf.constant(rng.normal(size=(4, 3)))
    specification = [tf.TensorSpec((None, 3), tf.float64)]
    for name in ("energy", "gradient", "laplacian"):
        method = getattr(visible, name)
        compiled = tf.function(method, input_signature=specification)
        np.testing.assert_allclose(compiled(z), method(z), rtol=1e-12)


def test_float32_variables_under_mixed_precision():
    visible = QuadraticVisible("diagonal", "each", dtype="mixed_bfloat16")
    visible.build((None, 3))
    assert {v.dtype for v in visible.variables} == {"float32"}


def test_it_is_made_again_from_its_configuration():
    visible = QuadraticVisible("full", "channel", dtype="float64", name="quadratic")
    config = keras.saving.serialize_keras_object(visible)
    again = keras.saving.deserialize_keras_object(config)
    assert (again.precision, again.bias, again.name) == ("full", "channel", "quadratic")
    assert again.variable_dtype == "float64"


def test_unknown_names():
    with pytest.raises(ValueError, match="unknown visible_precision 'banded'; expected None or"):
        QuadraticVisible("banded")
    with pytest.raises(ValueError, match="unknown visible_bias 'pixel'; expected None or one of"):
        QuadraticVisible(bias="pixel")
    with pytest.raises(ValueError, match="visible_bias='each' has no effect without a quadratic"):
        QuadraticVisible("zero", "each")
