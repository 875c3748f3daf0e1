import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from closed_form_test import loss_and_gradients

from delvm_tf.curvature import HalfSquaredNorm, Potential, probing
from delvm_tf.curvature.nested_tape import nested_tape
from delvm_tf.curvature.probing import basis, hutchinson


def networks(rng):
    return {
        "deep dense": ((5,), reference.dense((6, 4), "softplus", (5,))),
        "more inputs than one pass": (
            (19,), reference.dense((4, 3), "tanh", (19,)),
        ),
        "deep convolutional": ((5, 4, 1), reference.conv((3, 2), "silu", (5, 4, 1), 2)),
        "deep ReLU": ((5, 4, 1), reference.conv((3, 2), "relu", (5, 4, 1), 2)),
    }  # fmt: skip


@pytest.mark.parametrize("kind", list(networks(None)))
def test_basis_probes_equal_the_nested_tape_and_its_weight_gradients(kind, rng, monkeypatch):
    if kind == "more inputs than one pass":
        monkeypatch.setattr(probing, "VALUES_PER_PASS", 1)
        monkeypatch.setattr(probing, "MIN_PROBES_PER_PASS", 8)
    shape, network = networks(rng)[kind]
    reference.randomize(network, rng)
    x = tf.constant(rng.normal(size=(3, *shape)))
    potential = Potential(network, HalfSquaredNorm(), "float64")
    compiled = tf.function(lambda: loss_and_gradients(basis, potential, x))
    for run in (compiled, lambda: loss_and_gradients(basis, potential, x)):
        curvature, loss, gradients = run()
        expected, expected_loss, expected_gradients = loss_and_gradients(nested_tape, potential, x)
        np.testing.assert_allclose(curvature.gradient, expected.gradient, rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(curvature.laplacian, expected.laplacian, rtol=1e-10)
        np.testing.assert_allclose(loss, expected_loss, rtol=1e-10)
        for got, wanted in zip(gradients, expected_gradients, strict=True):
            scale = np.abs(wanted).max()
            np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-10 * scale)


def test_basis_and_nested_tape_equal_derivatives_taken_one_output_at_a_time(rng):
    network = reference.randomize(reference.dense((4, 3), "softplus", (3,)), rng)
    x = rng.normal(size=(2, 3))
    gradient, laplacian = reference.half_squared_norm_derivatives(network, x)
    potential = Potential(network, HalfSquaredNorm(), "float64")
    for method in (basis, nested_tape):
        curvature = method(potential, tf.constant(x))
        np.testing.assert_allclose(curvature.gradient, gradient, rtol=1e-10)
        np.testing.assert_allclose(curvature.laplacian, laplacian, rtol=1e-10)


@pytest.mark.parametrize("activation", ["relu", "softplus"])
def test_hutchinson_is_unbiased_with_the_known_variance(activation, rng):
    """4,096 draws: the mean within 4 standard errors, the variance 2 Σ_{i≠j} H_ij² within 15%."""
    network = reference.randomize(reference.dense((6, 5), activation, (4,)), rng, 0.8)
    potential = Potential(network, HalfSquaredNorm(), "float64")
    point = tf.constant(rng.normal(size=(1, 4)))
    seed = keras.random.SeedGenerator(3)
    draws = 4096
    estimates = hutchinson(potential, tf.repeat(point, draws, axis=0), seed).laplacian.numpy()

    with tf.GradientTape() as outer:
        outer.watch(point)
        with tf.GradientTape() as inner:
            inner.watch(point)
            u = potential(point)
        gradient = inner.gradient(u, point)
    hessian = outer.batch_jacobian(gradient, point)[0].numpy()
    exact = nested_tape(potential, point).laplacian.numpy()[0]
    np.testing.assert_allclose(exact, np.trace(hessian), rtol=1e-12)

    assert abs(estimates.mean() - exact) < 4 * estimates.std(ddof=1) / np.sqrt(draws)
    variance = 2 * ((hessian**2).sum() - (np.diag(hessian) ** 2).sum())
    assert estimates.var(ddof=1) == pytest.approx(variance, rel=0.15)
    assert estimates.std() > 0.01 * abs(exact)  # an estimate, not the exact value by accident


def test_more_probes_divide_the_variance(rng):
    network = reference.randomize(reference.dense((6, 5), "softplus", (4,)), rng, 0.8)
    potential = Potential(network, HalfSquaredNorm(), "float64")
    points = tf.repeat(tf.constant(rng.normal(size=(1, 4))), 4096, axis=0)
    seed = keras.random.SeedGenerator(3)
    one = hutchinson(potential, points, seed, probes=1).laplacian.numpy().var()
    eight = hutchinson(potential, points, seed, probes=8).laplacian.numpy().var()
    assert one / eight == pytest.approx(8, rel=0.15)


def test_hutchinson_gives_the_exact_gradient_and_new_signs_each_time(rng):
    network = reference.randomize(reference.conv((3, 2), "tanh", (5, 4, 1), 2), rng)
    potential = Potential(network, HalfSquaredNorm(), "float64")
    x = tf.constant(rng.normal(size=(3, 5, 4, 1)))
    seed = keras.random.SeedGenerator(0)
    first, second = hutchinson(potential, x, seed, 3), hutchinson(potential, x, seed, 3)
    np.testing.assert_allclose(first.gradient, nested_tape(potential, x).gradient, rtol=1e-10)
    assert not np.allclose(first.laplacian, second.laplacian)
    again = hutchinson(potential, x, keras.random.SeedGenerator(0), 3)
    np.testing.assert_array_equal(first.laplacian, again.laplacian)
