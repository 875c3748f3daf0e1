import itertools

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from comparison import assert_same

from delvm_tf import datasets
from delvm_tf.curvature import HalfSquaredNorm, Potential, TraceSettings, compute_trace, plan_trace
from delvm_tf.curvature.nested_tape import nested_tape

NETWORKS = {
    "deep dense": ((5,), reference.dense((6, 4), "softplus", (5,))),
    "deep convolutional": ((7, 6, 2), reference.conv((3, 2), "silu", (7, 6, 2), 2)),
    "deep ReLU": ((7, 6, 1), reference.conv((3, 2), "relu", (7, 6, 1), 3, padding="same")),
    "strided": ((9, 8, 1), reference.conv((3, 2), "tanh", (9, 8, 1), 2, strides=2)),
}
BUDGETS = {"all at once": 2.0, "examples in chunks": 2e-5, "one probe at a time": 1e-9}


def trace(name, potential, x, seed=None, **settings):
    plan = plan_trace(name, potential, tuple(x.shape[1:]), TraceSettings(**settings))
    seed = None if seed is None else keras.random.SeedGenerator(seed)
    return compute_trace(plan, potential, x, seed)


FAST = [
    ("deep dense", "basis", "all at once", False),
    ("deep dense", "lattice", "examples in chunks", True),
    ("deep dense", "basis", "one probe at a time", False),
    ("deep convolutional", "lattice", "examples in chunks", False),
    ("deep convolutional", "basis", "all at once", False),
    ("deep ReLU", "lattice", "examples in chunks", False),
    ("strided", "basis", "all at once", False),
    ("strided", "lattice", "examples in chunks", False),
]
CASES = [
    *FAST,
    *(pytest.param(*case, marks=pytest.mark.slow)
      for case in itertools.product(NETWORKS, ("basis", "lattice"), BUDGETS, (False, True))
      if case not in FAST and not (case[-1] and case[0] in ("strided", "deep ReLU"))),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "budget", "graph"), CASES)
def test_exact_probes_equal_the_nested_tape_and_its_weight_gradients(
    kind, name, budget, graph, rng
):
    shape, network = NETWORKS[kind]
    reference.randomize(network, rng)
    x = tf.constant(rng.normal(size=(3, *shape)))
    potential = Potential(network, HalfSquaredNorm(), "float64")

    def method(potential, x):
        return trace(name, potential, x, memory_budget=BUDGETS[budget])

    assert_same(method, potential, x, graph=graph)


def test_exact_traces_equal_derivatives_taken_one_output_at_a_time(rng):
    network = reference.randomize(reference.dense((4, 3), "softplus", (3,)), rng)
    x = rng.normal(size=(2, 3))
    gradient, laplacian = reference.half_squared_norm_derivatives(network, x)
    potential = Potential(network, HalfSquaredNorm(), "float64")
    for name in ("basis", "lattice", "nested_tape"):
        curvature = trace(name, potential, tf.constant(x))
        np.testing.assert_allclose(curvature.gradient, gradient, rtol=1e-10)
        np.testing.assert_allclose(curvature.laplacian, laplacian, rtol=1e-10)


def test_any_function_can_be_probed(rng):
    x = tf.constant(rng.normal(size=(4, 3)))

    def quartic(z):
        return 0.25 * tf.reduce_sum(tf.square(tf.square(z)), axis=1)

    for budget in (2.0, 1e-9):
        curvature = trace("basis", quartic, x, memory_budget=budget)
        np.testing.assert_allclose(curvature.gradient, x**3, rtol=1e-12)
        np.testing.assert_allclose(curvature.laplacian, 3 * np.square(x).sum(axis=1), rtol=1e-12)


def hessian_of(potential, point):
    with tf.GradientTape() as outer:
        outer.watch(point)
        with tf.GradientTape() as inner:
            inner.watch(point)
            u = potential(point)
        gradient = inner.gradient(u, point)
    d = int(np.prod(point.shape[1:]))
    return outer.batch_jacobian(gradient, point).numpy().reshape(d, d)


def expected_variance(kind, hessian, spacing):
    off_diagonal = hessian**2 - np.diag(np.diag(hessian) ** 2)
    if kind == "gaussian":
        return 2 * (hessian**2).sum()
    if kind == "hutchinson":
        return 2 * off_diagonal.sum()
    index = np.arange(len(hessian)) % spacing
    return 2 * off_diagonal[index[:, None] == index].sum()


@pytest.mark.parametrize(
    ("activation", "budget"),
    [("relu", 2.0), ("softplus", 1e-3), pytest.param("relu", 1e-3, marks=pytest.mark.slow),
     pytest.param("softplus", 2.0, marks=pytest.mark.slow)],
)  # fmt: skip
@pytest.mark.parametrize(
    ("kind", "spacing"), [("hutchinson", None), ("gaussian", None), ("lattice", 1), ("lattice", 2),
                          ("lattice", 3)],
)  # fmt: skip
def test_estimates_are_unbiased_with_the_known_variance(kind, spacing, activation, budget, rng):
    """4,096 draws: the mean within 4 standard errors, the variance within 20%."""
    network = reference.randomize(reference.dense((6, 5), activation, (6,)), rng, 0.8)
    potential = Potential(network, HalfSquaredNorm(), "float64")
    point = tf.constant(rng.normal(size=(1, 6)))
    draws = 4096
    many = tf.repeat(point, draws, axis=0)
    settings = {"spacing": spacing, "memory_budget": budget}
    estimates = trace(kind, potential, many, seed=3, **settings).laplacian.numpy()
    hessian = hessian_of(potential, point)
    exact = np.trace(hessian)
    np.testing.assert_allclose(nested_tape(potential, point).laplacian, [exact], rtol=1e-12)

    assert abs(estimates.mean() - exact) < 4 * estimates.std(ddof=1) / np.sqrt(draws)
    variance = expected_variance(kind, hessian, spacing)
    assert estimates.var(ddof=1) == pytest.approx(variance, rel=0.2)
    assert estimates.std() > 0.01 * abs(exact)  # an estimate, not the exact value by accident


@pytest.mark.parametrize("kind", ["hutchinson", "gaussian"])
def test_more_probes_divide_the_variance(kind, rng):
    network = reference.randomize(reference.dense((6, 5), "softplus", (4,)), rng, 0.8)
    potential = Potential(network, HalfSquaredNorm(), "float64")
    points = tf.repeat(tf.constant(rng.normal(size=(1, 4))), 4096, axis=0)
    one, eight = (
        trace(kind, potential, points, seed=3, probes=p).laplacian.numpy().var() for p in (1, 8)
    )
    assert one / eight == pytest.approx(8, rel=0.2)


def test_random_probes_give_the_exact_gradient_and_new_signs_each_time(rng):
    network = reference.randomize(reference.conv((3, 2), "tanh", (5, 4, 1), 2), rng)
    potential = Potential(network, HalfSquaredNorm(), "float64")
    x = tf.constant(rng.normal(size=(3, 5, 4, 1)))
    plan = plan_trace("hutchinson", potential, (5, 4, 1), TraceSettings(probes=3))
    seed = keras.random.SeedGenerator(0)
    first, second = (compute_trace(plan, potential, x, seed) for _ in range(2))
    np.testing.assert_allclose(first.gradient, nested_tape(potential, x).gradient, rtol=1e-10)
    assert not np.allclose(first.laplacian, second.laplacian)
    again = compute_trace(plan, potential, x, keras.random.SeedGenerator(0))
    np.testing.assert_array_equal(first.laplacian, again.laplacian)


def test_chunks_do_not_change_an_estimate(rng):
    network = reference.randomize(reference.conv((3, 2), "softplus", (7, 6, 2), 3), rng)
    potential = Potential(network, HalfSquaredNorm(), "float64")
    x = tf.constant(rng.normal(size=(5, 7, 6, 2)))
    for kind, settings in (("lattice", {"spacing": 2}), ("gaussian", {"probes": 6})):
        whole, split = (
            trace(kind, potential, x, seed=1, memory_budget=budget, **settings).laplacian
            for budget in (2.0, 1e-9)
        )
        np.testing.assert_allclose(split, whole, rtol=1e-12)


def test_the_variance_falls_with_the_spacing_on_real_images():
    """Two layers of 3×3: spacings 1 to 4 are estimates, 5 is exact."""
    images = datasets.load("digits").x_train[:8] / 8.0 - 1.0
    network = keras.Sequential(
        [keras.Input((8, 8, 1)),
         *(keras.layers.Conv2D(8, 3, padding="same", activation="relu",
                               kernel_initializer=keras.initializers.GlorotUniform(seed=i))
           for i in range(2))]
    )  # fmt: skip
    potential = Potential(network, HalfSquaredNorm())
    x = tf.constant(images, tf.float32)
    exact = trace("exact", potential, x).laplacian.numpy()
    draws = 64
    variances = []
    for spacing in (1, 2, 4, 5):
        plan = plan_trace("lattice", potential, (8, 8, 1), TraceSettings(spacing=spacing))
        seed = keras.random.SeedGenerator(0)
        run = tf.function(lambda p=plan, s=seed: compute_trace(p, potential, x, s).laplacian)
        estimates = np.stack([run().numpy() for _ in range(1 if plan.exact else draws)])
        assert plan.exact == (spacing == 5)
        if plan.exact:
            np.testing.assert_allclose(estimates[0], exact, rtol=1e-4)
            continue
        error = estimates.mean(axis=0) - exact
        assert np.all(np.abs(error) < 5 * estimates.std(axis=0, ddof=1) / np.sqrt(draws))
        variances.append(estimates.var(axis=0, ddof=1).mean())
    assert np.all(np.diff(variances) < 0), variances
