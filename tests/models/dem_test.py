"""Energies of hidden variables against the sum or integral over them."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf import noise

GRID = np.linspace(-12.0, 12.0, 4_001)


def tiny(kind, rng, units=(4, 3), d=3, activation="tanh", **kwargs):
    network = dv.networks.ffnn(units, activation, dtype="float64")
    model = kind(network, **{"normalization": "none", "dtype": "float64", **kwargs})
    model.build((None, d))
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    return model


def network_output(model, x):
    for layer in model.network.layers:
        x = np.tanh(x @ layer.kernel.numpy() + layer.bias.numpy())
    return x


def test_a_dem_sums_binary_hidden_variables_out(rng):
    """E(x) = −log Σ_h exp(−½‖x‖² + hᵀf(x)) over all h, and the mean of h under these weights."""
    model, x = tiny(dv.DEM, rng), 2 * rng.normal(size=(6, 3))
    states = np.array(list(itertools.product([0, 1], repeat=3)))
    weights = np.exp(-0.5 * np.square(x).sum(axis=1)[:, None] + network_output(model, x) @ states.T)
    total = weights.sum(axis=1)
    np.testing.assert_allclose(model.energy(x), -np.log(total), rtol=1e-12)
    np.testing.assert_allclose(model.hidden(x), weights @ states / total[:, None], rtol=1e-12)


def test_a_delvm_integrates_normal_hidden_variables_out(rng):
    """E(x) = −log ∫ exp(−½‖x‖² + hᵀf(x) − ½‖h‖²) dh up to log 2π, on a grid over two h."""
    model, x = tiny(dv.DELVM, rng, units=(4, 2)), 2 * rng.normal(size=(5, 3))
    model.network.layers[-1].kernel.assign(1.5 * model.network.layers[-1].kernel)
    f = network_output(model, x)
    weights = np.exp(f[..., None] * GRID - 0.5 * np.square(GRID))  # a product over the h
    totals = np.trapezoid(weights, GRID, axis=-1)
    expected = 0.5 * np.square(x).sum(axis=1) - np.log(totals).sum(axis=1) + np.log(2 * np.pi)
    np.testing.assert_allclose(model.energy(x), expected, rtol=1e-9)
    means = np.trapezoid(weights * GRID, GRID, axis=-1) / totals
    np.testing.assert_allclose(model.hidden(x), means, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", [dv.DEM, dv.DELVM])
def test_the_reconstruction_is_the_hidden_mean_pulled_back(kind, rng):
    """x̂ = x − ∇E = JᵀE[h|x], with J and ∇E by finite differences."""
    model, x = tiny(kind, rng), rng.normal(size=(4, 3))
    h = 1e-5
    slopes, rows = [], []
    for e in np.eye(3):
        slopes.append((model.energy(x + h * e) - model.energy(x - h * e)) / (2 * h))
        rows.append((network_output(model, x + h * e) - network_output(model, x - h * e)) / (2 * h))
    rebuilt = model.reconstruct(x)
    np.testing.assert_allclose(rebuilt, x - np.stack(slopes, axis=1), rtol=1e-6, atol=1e-8)
    expected = np.einsum("inm,nm->ni", np.stack(rows), model.hidden(x))
    np.testing.assert_allclose(rebuilt, expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(model.score(x), rebuilt - x, rtol=1e-9, atol=1e-12)
    error = np.square(x - rebuilt).sum(axis=1)
    np.testing.assert_allclose(model.reconstruction_error(x), error, rtol=1e-9)


NETWORKS = {
    "one layer": ((4,), lambda: dv.networks.ffnn((3,), "softplus", dtype="float64")),
    "deep": ((4,), lambda: dv.networks.ffnn((3, 2), "tanh", dtype="float64")),
    "convolutional": (
        (4, 3, 1), lambda: dv.networks.cnn((2, 2), 3, activation="silu", dtype="float64"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "network"),
    [(dv.DEM, "convolutional"), (dv.DSEBM, "one layer"),
     *(pytest.param(kind, network, marks=pytest.mark.slow)
       for kind, network in ((dv.DEM, "deep"), (dv.DEM, "one layer"), (dv.DSEBM, "deep"),
                             (dv.DSEBM, "convolutional")))],
)  # fmt: skip
def test_exact_traces_and_their_weight_gradients_are_those_of_nested_tapes(kind, network, rng):
    shape, build = NETWORKS[network]
    model = kind(build(), normalization="none", dtype="float64")
    model.build((None, *shape))
    for variable in model.trainable_variables:
        variable.assign(0.5 * rng.normal(size=variable.shape))
    x = tf.constant(rng.normal(size=(3, *shape)))

    def run(trace, memory_budget=2.0):
        objective = dv.ScoreMatching(trace=trace, memory_budget=memory_budget)
        with tf.GradientTape() as tape:
            losses = objective.compute(model, x, training=True).loss
            total = tf.reduce_sum(losses * [0.5, 1.0, -2.0])
        return losses, tape.gradient(total, model.trainable_variables)

    wanted, wanted_gradients = run("nested_tape")
    for budget in (2.0, 1e-9):
        losses, gradients = run("exact", budget)
        np.testing.assert_allclose(losses, wanted, rtol=1e-9)
        for gradient, expected in zip(gradients, wanted_gradients, strict=True):
            assert np.abs(expected).max() > 0
            np.testing.assert_allclose(gradient, expected, rtol=1e-8, atol=1e-11)


def density_on_grid(model, side=161, reach=8.0):
    """Cells of a two-dimensional density, their probabilities and width."""
    axis = np.linspace(-reach, reach, side)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    log_density = -model.energy(points).numpy()
    weights = np.exp(log_density - log_density.max())
    return points, weights / weights.sum(), axis[1] - axis[0]


@pytest.mark.parametrize("precision", [None, "full"])
@pytest.mark.parametrize("kind", [dv.DEM, dv.DSEBM, dv.DELVM])
def test_gibbs_steps_of_a_linear_network_leave_the_density_as_it_is(kind, precision, rng):
    """Exact samples from a grid; after three steps their moments are still the density's."""
    bias = "each" if kind is dv.DSEBM else None
    model = tiny(
        kind, rng, units=(2,), d=2, activation="linear",
        visible_precision=precision, visible_bias=bias,
    )  # fmt: skip
    kernel = np.array([[1.2, -0.5], [0.4, 1.6]]) * (0.35 if kind is dv.DELVM else 1.5)
    model.network.set_weights([kernel, np.array([0.4, -0.8])])
    if precision:
        model.visible.root.assign([[1.1, 0.5], [-0.2, 0.9]])
    if bias:
        model.visible.mean.assign([1.0, -0.5])
    points, p, width = density_on_grid(model)
    assert p.reshape(161, 161)[[0, -1]].max() < 1e-9  # nothing is cut off
    n = 60_000
    x = points[rng.choice(len(points), size=n, p=p)] + width * rng.uniform(-0.5, 0.5, size=(n, 2))

    state = tf.constant(x)
    for step in range(3):
        state = model.gibbs_step(state, noise.fold(tf.constant([3, 4]), step), 1.0)
    after = state.numpy()
    assert np.abs(after - x).std() > 0.5  # the chains do move
    tests = {
        "first": lambda v: v[:, 0],
        "second": lambda v: v[:, 1],
        "square": lambda v: np.square(v[:, 0]),
        "other square": lambda v: np.square(v[:, 1]),
        "product": lambda v: v[:, 0] * v[:, 1],
        "wave": lambda v: np.sin(v[:, 0] + 2 * v[:, 1]),
        "cube": lambda v: v[:, 0] ** 3,
    }
    for name, function in tests.items():
        values = function(after)
        expected = p @ function(points)
        bound = 4.5 * values.std() / np.sqrt(n) + 2 * np.square(width)  # chance, and the cells
        assert abs(values.mean() - expected) < bound, name


def test_a_gibbs_step_without_noise_is_the_mean_of_x_given_h(rng):
    model, x = tiny(dv.DEM, rng, units=(3,), activation="linear"), tf.zeros((4, 3), tf.float64)
    kernel = model.network.layers[0].kernel.numpy()
    states = np.array(list(itertools.product([0, 1], repeat=3))) @ kernel.T
    for row in model.gibbs_step(x, tf.constant([1, 2]), 0.0).numpy():
        assert np.abs(states - row).max(axis=1).min() < 1e-12


@pytest.mark.parametrize("kind", [dv.DEM, pytest.param(dv.DSEBM, marks=pytest.mark.slow)])
def test_training_raises_the_likelihood_of_clustered_data(kind, rng):
    """Two clusters on a line: the normalised log density of fresh data grows, by a grid."""

    def draw(n):
        return (rng.choice([-2.0, 2.0], size=(n, 1)) + 0.5 * rng.normal(size=(n, 1))).astype(
            "float32"
        )

    x, fresh = draw(500), draw(500)
    model = kind(dv.networks.ffnn((8,), "linear", seed=0), scale=1.5)
    model.adapt(x)
    model.compile(keras.optimizers.Adam(0.02), steps_per_execution=5)
    axis = np.linspace(-8, 8, 2001, dtype="float32")[:, None]

    def mean_log_density():
        normalizer = np.trapezoid(np.exp(-model.energy(axis).numpy()), axis[:, 0])
        return float(-np.mean(model.energy(fresh)) - np.log(normalizer))

    before = mean_log_density()
    model.fit(x, batch_size=100, epochs=20, verbose=0)
    assert mean_log_density() > before + 0.1


@pytest.mark.parametrize(
    ("kind", "network"),
    [(dv.DEM, "convolutional"),
     pytest.param(dv.DSEBM, "deep", marks=pytest.mark.slow),
     pytest.param(dv.DEM, "deep", marks=pytest.mark.slow),
     pytest.param(dv.DSEBM, "convolutional", marks=pytest.mark.slow)],
)  # fmt: skip
def test_a_saved_model_is_the_same_model(kind, network, rng, tmp_path):
    shape = NETWORKS[network][0]
    body = dv.networks.cnn((2,), 3) if len(shape) == 3 else dv.networks.ffnn((3, 2), "tanh")
    model = kind(body, scale=2.0, visible_precision="diagonal")
    x = rng.normal(size=(20, *shape)).astype("float32")
    model.adapt(x)
    model.compile("adam")
    model.fit(x, batch_size=10, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is kind
    assert loaded.visible.bias == model.visible.bias
    assert loaded.visible.precision == "diagonal"
    for name in ("energy", "score", "hidden", "features"):
        np.testing.assert_array_equal(getattr(loaded, name)(x), getattr(model, name)(x))


def test_a_network_that_is_none():
    with pytest.raises(TypeError, match="network must be a Keras model such as"):
        dv.DEM(3)
