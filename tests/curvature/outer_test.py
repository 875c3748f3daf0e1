"""Outer functions against the sums and integrals over hidden variables that define them."""

import itertools

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from comparison import LogSumExp, assert_same

from delvm_tf.curvature import (
    ElementwiseOuter,
    GaussianLogPartition,
    HalfSquaredNorm,
    Jet,
    Outer,
    Potential,
    SoftplusSum,
    TraceSettings,
    compute_trace,
    plan_trace,
)
from delvm_tf.curvature.boxes import union
from delvm_tf.curvature.nested_tape import nested_tape

OUTERS = [HalfSquaredNorm(), SoftplusSum(), GaussianLogPartition()]
IDS = ["half squared norm", "softplus sum", "gaussian log partition"]


@pytest.fixture
def double_precision(seeded):
    keras.config.set_dtype_policy("float64")


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


class PairProducts(Outer):
    """Σ over places of the product of two channels, which says that it puts only these together."""

    def __call__(self, f):
        return tf.reduce_sum(tf.reduce_prod(f, axis=-1), axis=list(range(1, f.shape.rank - 1)))

    def mean_hidden(self, f):
        return tf.reverse(f, [-1])

    def terms(self, boxes):
        return union(boxes, -1)


class Weighted(ElementwiseOuter):
    """Σₖ ½wₖfₖ² with another weight for each output."""

    def __init__(self, shape):
        count = int(np.prod(shape))
        self.weights = tf.reshape(tf.linspace(tf.constant(0.5, tf.float64), 2.0, count), shape)

    def jet(self, f):
        return Jet(0.5 * self.weights * tf.square(f), self.weights * f, self.weights)


def image_network(*layers):
    return keras.Sequential(
        [keras.Input((5, 4, 1), dtype="float64"),
         keras.layers.Conv2D(2, 3, activation="softplus", padding="same"), *layers]
    )  # fmt: skip


def dense_head():
    return [keras.layers.Flatten(), keras.layers.Dense(4, "tanh")]


NETWORKS = {
    "dense head": dense_head,
    "convolution": lambda: [keras.layers.Conv2D(2, 2, activation="tanh")],
    "one convolution": lambda: [],
    "one convolution, moved": lambda: [keras.layers.Permute((2, 1, 3))],
    "convolutions, flat": lambda: [
        keras.layers.Conv2D(2, 2, activation="tanh"), keras.layers.Flatten()],
    "strides": lambda: [keras.layers.Conv2D(2, 2, 2, activation="tanh")],
}  # fmt: skip


def assert_as_by_nested_tapes(trace, network, outer, rng):
    """Gradient, Laplacian and the gradient of that in the weights; the plan must say exact."""
    reference.randomize(network, rng)
    potential = Potential(network, outer, "float64")
    x = tf.constant(rng.normal(size=(3, 5, 4, 1)))
    plan = plan_trace(trace, potential, (5, 4, 1), TraceSettings())
    assert plan.exact

    seed = keras.random.SeedGenerator(0)
    assert_same(lambda potential, x: compute_trace(plan, potential, x, seed), potential, x)


@pytest.mark.parametrize("outer", [*OUTERS, LogSumExp()], ids=[*IDS, "log-sum-exp"])
@pytest.mark.parametrize("trace", [pytest.param("basis", marks=pytest.mark.slow), "lattice"])
@pytest.mark.parametrize("head", ["dense head", "convolution"])
def test_every_outer_function_has_the_nested_tapes_trace_and_weight_gradients(
    head, outer, trace, double_precision, rng
):
    assert_as_by_nested_tapes(trace, image_network(*NETWORKS[head]()), outer, rng)


@pytest.mark.parametrize("outer", ["log-sum-exp", "weighted"])
@pytest.mark.parametrize("kind", [kind for kind in NETWORKS if kind != "dense head"])
def test_what_is_called_exact_is_so_for_outer_functions_that_tell_outputs_apart(
    kind, outer, double_precision, rng
):
    network = image_network(*NETWORKS[kind]())
    chosen = LogSumExp() if outer == "log-sum-exp" else Weighted(network.output_shape[1:])
    assert_as_by_nested_tapes("exact", network, chosen, rng)


@pytest.mark.parametrize("move", ["permute", "flatten"])
@pytest.mark.parametrize("depth", [1, 2])
def test_slopes_of_each_place_stay_at_their_place(move, depth, double_precision, rng):
    layers = [keras.layers.Conv2D(2, 2, activation="tanh")] * (depth - 1)
    moved = keras.layers.Permute((2, 1, 3)) if move == "permute" else keras.layers.Flatten()
    network = keras.Sequential(
        [keras.Input((5, 5, 1), dtype="float64"), keras.layers.Conv2D(2, 3, padding="same"),
         *layers, moved, keras.layers.PReLU()]
    )  # fmt: skip
    reference.randomize(network, rng)
    potential, x = Potential(network, HalfSquaredNorm(), "float64"), rng.normal(size=(2, 5, 5, 1))
    plan = plan_trace("exact", potential, (5, 5, 1), TraceSettings())
    assert plan.exact
    got = compute_trace(plan, potential, tf.constant(x), keras.random.SeedGenerator(0))
    expected = nested_tape(potential, tf.constant(x))
    np.testing.assert_allclose(got.laplacian, expected.laplacian, rtol=1e-10)
    np.testing.assert_allclose(got.gradient, expected.gradient, rtol=1e-9, atol=1e-12)


def test_an_outer_function_that_says_what_it_puts_together_takes_fewer_probes(
    double_precision, rng
):
    network = image_network()
    assert_as_by_nested_tapes("exact", network, PairProducts(), rng)
    settings = TraceSettings()
    probes = {
        type(outer).__name__: plan_trace(
            "lattice", Potential(network, outer, "float64"), (5, 4, 1), settings
        ).probe_count
        for outer in (PairProducts(), GaussianLogPartition(), LogSumExp())
    }
    assert probes == {"PairProducts": 9, "GaussianLogPartition": 9, "LogSumExp": 20}


def test_another_function_inherits_no_formulas(double_precision, rng):
    class Shared(GaussianLogPartition):
        def __call__(self, f):
            return tf.square(super().__call__(f))

    assert_as_by_nested_tapes("lattice", image_network(), Shared(), rng)


def test_a_sum_over_outputs_that_is_given_as_something_else_is_refused():
    with pytest.raises(TypeError, match=r"Mixed defines __call__ without jet.*subclass Outer"):

        class Mixed(HalfSquaredNorm):
            def __call__(self, f):
                return tf.reduce_logsumexp(f, axis=1)
