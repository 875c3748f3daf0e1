"""Outer functions against the sums and integrals over hidden variables that define them."""

import itertools

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf

from delvm_tf.curvature import (
    GaussianLogPartition,
    HalfSquaredNorm,
    Outer,
    Potential,
    SoftplusSum,
    TraceSettings,
    compute_trace,
    plan_trace,
)
from delvm_tf.curvature.nested_tape import nested_tape

OUTERS = [HalfSquaredNorm(), SoftplusSum(), GaussianLogPartition()]
IDS = ["half squared norm", "softplus sum", "gaussian log partition"]
GRID = np.linspace(-30, 30, 60_001)


def test_half_squared_norm_integrates_gaussian_hidden_variables_out():
    for f in (-1.3, 0.4, 2.0):
        weights = np.exp(GRID * f - 0.5 * GRID**2)
        log_integral = np.log(np.trapezoid(weights, GRID) / np.sqrt(2 * np.pi))
        mean = np.trapezoid(weights * GRID, GRID) / np.trapezoid(weights, GRID)
        point = tf.constant([[f]], tf.float64)
        np.testing.assert_allclose(HalfSquaredNorm()(point), [log_integral], rtol=1e-9)
        np.testing.assert_allclose(HalfSquaredNorm().mean_hidden(point), [[mean]], rtol=1e-9)


def test_softplus_sums_binary_hidden_variables_out():
    f = np.array([-1.3, 0.4, 2.0])
    states = np.array(list(itertools.product([0, 1], repeat=3)))
    weights = np.exp(states @ f)
    outer = SoftplusSum()
    np.testing.assert_allclose(outer(tf.constant([f])), [np.log(weights.sum())], rtol=1e-12)
    mean = weights @ states / weights.sum()
    np.testing.assert_allclose(outer.mean_hidden(tf.constant([f])), [mean], rtol=1e-12)


def test_gaussian_log_partition_integrates_hidden_variables_with_a_prior_out():
    """log ∫ N(h; 0, 1) exp(a h − b² h²) dh, and the mean of h under that density."""
    outer = GaussianLogPartition()
    prior = np.exp(-0.5 * GRID**2) / np.sqrt(2 * np.pi)
    for a, b in ((0.7, 0.3), (-2.0, 1.1), (1.5, -0.6)):
        weights = prior * np.exp(a * GRID - b**2 * GRID**2)
        total = np.trapezoid(weights, GRID)
        mean = np.trapezoid(weights * GRID, GRID) / total
        variance = np.trapezoid(weights * GRID**2, GRID) / total - mean**2
        f = tf.constant([[a, b]], tf.float64)
        np.testing.assert_allclose(outer(f), [np.log(total)], rtol=1e-8)
        np.testing.assert_allclose(outer.mean_hidden(f), [[mean]], rtol=1e-8)
        np.testing.assert_allclose(outer.variance(f), [[variance]], rtol=1e-8)


@pytest.mark.parametrize("outer", OUTERS, ids=IDS)
def test_quadratic_forms_equal_those_of_automatic_differentiation(outer, rng):
    f = tf.constant(rng.normal(size=(3, 6)))
    for lead in ((5, 3), (5, 1)):
        tangents = tf.constant(rng.normal(size=(*lead, 6)))
        expected = Outer.quadratic_form(outer, f, tangents)
        np.testing.assert_allclose(outer.quadratic_form(f, tangents), expected, rtol=1e-11)


class LogSumExp(Outer):
    """An outer function that mixes all outputs and has no formulas of its own."""

    def __call__(self, f):
        return tf.reduce_logsumexp(f, axis=-1)

    def mean_hidden(self, f):
        return tf.nn.softmax(f)


@pytest.mark.parametrize("outer", [*OUTERS, LogSumExp()], ids=[*IDS, "log-sum-exp"])
@pytest.mark.parametrize("trace", [pytest.param("basis", marks=pytest.mark.slow), "lattice"])
def test_every_outer_function_has_the_nested_tapes_trace_and_weight_gradients(outer, trace, rng):
    network = keras.Sequential(
        [keras.Input((5, 4, 1), dtype="float64"),
         keras.layers.Conv2D(3, 3, activation="softplus", dtype="float64"),
         keras.layers.Flatten(dtype="float64"), keras.layers.Dense(4, "tanh", dtype="float64")]
    )  # fmt: skip
    reference.randomize(network, rng)
    potential = Potential(network, outer, "float64")
    x = tf.constant(rng.normal(size=(3, 5, 4, 1)))
    plan = plan_trace(trace, potential, (5, 4, 1), TraceSettings())

    def run(method):
        with tf.GradientTape() as tape:
            curvature = method()
            loss = tf.reduce_sum(curvature.laplacian * [1.0, -2.0, 0.5])
        return curvature, tape.gradient(loss, [v.value for v in network.trainable_variables])

    got, gradients = run(lambda: compute_trace(plan, potential, x, keras.random.SeedGenerator(0)))
    expected, expected_gradients = run(lambda: nested_tape(potential, x))
    np.testing.assert_allclose(got.gradient, expected.gradient, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got.laplacian, expected.laplacian, rtol=1e-10)
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, wanted, rtol=1e-8, atol=1e-11)
