"""The flow both ways, against densities that are known."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from exact_levels import gaussian, mixture
from scipy.stats import multivariate_normal

import delvm_tf as dv
from delvm_tf.models.noise_conditional.flow import arc
from delvm_tf.samplers import ProbabilityFlow


def test_latents_of_a_normal_density_are_those_of_the_formula():
    model = gaussian(largest_noise=5.0)
    ((values, vectors),), (mean,) = model.eigen, model.means
    x = model.draw(6, 0.05)
    stretch = np.sqrt((values + 25) / (values + 0.05**2))
    expected = mean + ((x - mean) @ vectors * stretch) @ vectors.T
    np.testing.assert_allclose(model.latents(x, steps=400), expected, rtol=1e-3, atol=1e-2)


def test_the_flow_goes_there_and_back():
    model = mixture(normalization="zscore", scale=1.2)
    model.adapt(np.random.default_rng(0).normal([5.0, -3.0], [2.0, 0.1], size=(50, 2)))
    x = model.normalization.invert(model.draw(20, 0.05)).numpy()
    latents = model.latents(x, steps=200, batch_size=7)
    z = model.normalization(latents).numpy()
    assert abs(np.log(z.std() / np.hypot(1.2, 20))) < 0.5
    back = model.from_latents(latents, steps=200)
    np.testing.assert_allclose(back, x, atol=0.02)
    flow = ProbabilityFlow(denoise=False)
    sampled = model.sample(20, flow, steps=200, initial=latents)
    np.testing.assert_allclose(sampled, back, rtol=1e-8)
    errors = [np.abs(model.from_latents(model.latents(x, n), n) - x).max() for n in (50, 100, 200)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_interpolation_ends_at_both_and_goes_along_an_arc_of_latents():
    model = mixture()
    a, b = model.draw(3, 0.05, seed=1), model.draw(3, 0.05, seed=2)
    between = model.interpolate(a, b, 5, steps=100, batch_size=2)
    assert between.shape == (5, 3, 2)
    np.testing.assert_allclose(between[0], a, atol=0.05)
    np.testing.assert_allclose(between[-1], b, atol=0.05)
    middle = arc(model.latents(a), model.latents(b), 0.5)
    np.testing.assert_allclose(between[2], model.from_latents(middle), rtol=1e-6)


def test_an_arc_keeps_the_length_where_a_line_does_not():
    a, b = tf.constant(np.eye(4)[:1] * 3), tf.constant(np.eye(4)[1:2] * 3)
    for t in (0.0, 0.2, 0.5, 1.0):
        point = arc(a, b, t).numpy()
        assert np.linalg.norm(point) == pytest.approx(3)
        angle = np.arctan2(point[0, 1], point[0, 0])
        assert angle == pytest.approx(t * np.pi / 2)
    np.testing.assert_allclose(arc(a, a, 0.3), a)
    np.testing.assert_allclose(arc(a, -a, 0.25), 0.5 * a, atol=1e-9)


def test_the_density_of_the_flow_of_a_normal_density_is_that_of_the_formula():
    """N(x₁; 0, (s² + σ₁²)I) at the end of the flow, times its stretch."""
    model = gaussian(largest_noise=5.0)
    ((values, vectors),), (mean,) = model.eigen, model.means
    x = model.draw(30, 0.05)
    stretch = np.sqrt((values + 25) / (values + 0.05**2))
    end = mean @ vectors + (x - mean) @ vectors * stretch
    truth = multivariate_normal(np.zeros(3), 26 * np.eye(3)).logpdf(end) + np.log(stretch).sum()
    errors = [np.abs(model.flow_log_density(x, steps=n) - truth).max() for n in (50, 100, 200)]
    assert errors[2] < 0.01
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 4, rtol=0.2)


def test_the_density_of_the_flow_is_that_of_a_mixture():
    """Up to the start, normal where the truth is not quite."""
    model = mixture()
    x = model.draw(30, 0.05)
    truth = -model.energy(x, sigma=0.05).numpy()
    errors = [np.abs(model.flow_log_density(x, steps=n) - truth).max() for n in (50, 200)]
    assert errors[1] < 0.1
    assert errors[0] > 2 * errors[1]


def test_the_density_is_that_of_raw_units_and_of_any_batches():
    model, plain = (gaussian(normalization=mode, scale=1.5) for mode in ("zscore", "none"))
    model.adapt(np.random.default_rng(0).normal([5.0, -3.0, 1.0], [2.0, 0.1, 1.0], size=(50, 3)))
    z = plain.draw(9, 0.05)
    gains = np.log(model.normalization.gain.numpy()).sum() - 3 * np.log(1.5)
    found = model.flow_log_density(model.normalization.invert(z), steps=20, batch_size=4)
    expected = plain.flow_log_density(z / 1.5, steps=20) + gains
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.slow
def test_random_probes_estimate_the_exact_trace():
    """The flow does not depend on them, so that the mean over seeds tends to the exact one."""
    model = mixture(3)
    x = np.repeat(model.draw(1, 0.05, seed=5), 400, axis=0)
    exact = model.flow_log_density(x[:1], steps=10).numpy()[0]
    found = model.flow_log_density(x, steps=10, probes=2, seed=0).numpy()
    assert found.std() > 0
    assert abs(found.mean() - exact) < 4.5 * found.std() / np.sqrt(400)
    again = model.flow_log_density(x[:9], steps=10, probes=2, seed=0, batch_size=3)
    np.testing.assert_allclose(again, found[:9], rtol=1e-6)


def test_images_and_networks_have_densities_of_their_flow():
    network = dv.networks.level_cnn((3,), 3, activation="silu", seed=0, dtype="float64")
    model = dv.NoiseConditionalDELVM(
        network, normalization="none", preconditioned=True, dtype="float64"
    )
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 1))
    model.build((None, 3, 3, 1))
    for weight in model.trainable_variables:
        weight.assign(weight + 0.1 * np.random.default_rng(1).normal(size=weight.shape))
    found = model.flow_log_density(x, steps=30)
    step, jacobian = 1e-5, []
    for unit in np.eye(9).reshape(9, 1, 3, 3, 1):
        above, below = (model.latents(x + s * step * unit, steps=30) for s in (1, -1))
        jacobian.append((np.reshape(above, (2, 9)) - np.reshape(below, (2, 9))) / (2 * step))
    determinant = np.linalg.slogdet(np.moveaxis(jacobian, 0, 1))[1]
    end = np.reshape(model.latents(x, steps=30), (2, 9))
    normal = -0.5 * np.square(end).sum(axis=1) / 5 - 4.5 * np.log(2 * np.pi * 5)
    np.testing.assert_allclose(found, normal + determinant, atol=0.02)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x: m.latents(x, steps=0), "steps must be a positive integer, got 0"),
        (lambda m, x: m.interpolate(x, x, 1), "n counts both ends"),
        (lambda m, x: m.interpolate(x, x[:2]), "a and b must be as many examples"),
        (lambda m, x: m.flow_log_density(x, probes=0), "probes must be a positive integer"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    model = gaussian()
    with pytest.raises(ValueError, match=message):
        call(model, model.draw(3))


def of_activation(activation):
    network = dv.networks.level_ffnn((8, 8), activation, seed=0)
    model = dv.DensityDELVM(network, normalization="zscore")
    model.adapt(np.random.default_rng(0).normal(size=(50, 2)))
    return model


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "relu6", "selu"])
def test_kinks_are_told_of_where_second_derivatives_are_integrated(activation):
    model = of_activation(activation)
    x = np.zeros((2, 2), "float32")
    with pytest.warns(UserWarning, match=r"leave out the kinks .* or use log_density$") as told:
        model.flow_log_density(x, steps=1)
    assert [each.filename for each in told] == [__file__]
    plain = dv.NoiseConditionalDELVM(dv.networks.level_ffnn((8,), activation), normalization="none")
    plain.build((None, 2))
    with pytest.warns(UserWarning, match="smooth activations such as 'silu'$"):
        plain.flow_log_density(x, steps=1)


@pytest.mark.parametrize("activation", ["silu", "softplus", "gelu", "tanh"])
def test_smooth_activations_pass_in_silence(activation):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        of_activation(activation).flow_log_density(np.zeros((2, 2), "float32"), steps=1)


@pytest.mark.parametrize(("activation", "right"), [("silu", True), ("relu", False)])
def test_a_density_of_kinks_is_the_integral_of_its_score_and_not_of_its_trace(activation, right):
    """At one level U is the integral of ∇U; the slope of ∇U is not that of a network with kinks."""
    model = of_activation(activation)
    for weight in model.trainable_variables:
        weight.assign(weight + 0.5 * np.random.default_rng(1).normal(size=weight.shape))
    t = np.linspace(-2, 2, 4001, dtype="float32")
    line = tf.constant(np.stack([t, 0.3 * t], axis=1))
    level = tf.constant(0.0)
    direction = np.array([1.0, 0.3])
    with tf.GradientTape() as tape:
        tape.watch(line)
        energy, gradient, _ = model.normalized_energy_and_derivatives(line, level)
        slope = tf.reduce_sum(gradient * tf.constant(direction, "float32"), axis=1)
    bend = (tape.gradient(slope, line).numpy() * direction).sum(axis=1)
    energy, slope = (each.numpy().astype("float64") for each in (energy, slope))

    def integral(values):
        return np.sum((values[1:] + values[:-1]) / 2) * (t[1] - t[0])

    np.testing.assert_allclose(integral(slope), energy[-1] - energy[0], rtol=1e-3, atol=1e-2)
    gap = abs(integral(bend) - (slope[-1] - slope[0]))
    assert (gap < 0.01) == right
