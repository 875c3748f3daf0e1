"""Deep Boltzmann machines against sums over all hidden states."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from enumeration import assert_moments_stay, bits, gradient, log_sum_exp, randomize, sigmoid

import delvm_tf as dv

D = 2
SEED = tf.constant([1, 2])


def make(units, rng, size=0.8, steps=10, precision="diagonal", **kwargs):
    model = dv.DBM(
        units, steps, normalization="none", visible_precision=precision, dtype="float64", **kwargs
    )
    model.build((None, D))
    return randomize(model, rng, size)


def energy_of(model, x):
    return model.normalized_energy(tf.constant(x)).numpy()


def disconnect(model):
    for layer in model.upper:
        layer.kernel.assign(np.zeros(layer.kernel.shape))
    return model


def parameters(model):
    dense = [model.first.network.layers[-1], *model.upper]
    visible = model.first.visible
    root = 1.0 if visible.precision is None else np.asarray(visible.root)
    return (
        [np.asarray(layer.kernel) for layer in dense],
        [np.asarray(layer.bias) for layer in dense],
        np.asarray(visible.mean),
        np.square(root) * np.ones(D),
    )


def hidden_states(units):
    """All states of all hidden layers, a list of (states, units of the layer)."""
    rows = list(itertools.product(*(bits(n) for n in units)))
    return [np.array([row[layer] for row in rows]) for layer in range(len(units))]


def joint_energy(model, x):
    """E(x, h) for each x and all hidden states, (x, states)."""
    kernels, biases, b, precision = parameters(model)
    h = hidden_states(model.units)
    energy = 0.5 * (precision * np.square(x - b)).sum(axis=1)[:, None] - (x @ kernels[0]) @ h[0].T
    for layer, bias in enumerate(biases):
        energy = energy - h[layer] @ bias
    for layer, kernel in enumerate(kernels[1:], start=1):
        energy = energy - ((h[layer - 1] @ kernel) * h[layer]).sum(axis=1)
    return energy


def log_weights(model):
    """Log of ∫ exp(−E(x, h)) dx for all hidden states."""
    kernels, _, b, precision = parameters(model)
    pulled = hidden_states(model.units)[0] @ kernels[0].T
    at_b = -joint_energy(model, b[None])[0] + 0.5 * np.square(pulled) @ (1 / precision)
    return at_b + 0.5 * (D * np.log(2 * np.pi) - np.log(precision).sum())


def exact_states(model, n, rng):
    """Samples of inputs and even layers."""
    kernels, _, b, precision = parameters(model)
    weights = log_weights(model)
    p = np.exp(weights - log_sum_exp(weights))
    index = rng.choice(len(p), size=n, p=p / p.sum())
    h = [layer[index] for layer in hidden_states(model.units)]
    x = b + h[0] @ kernels[0].T / precision + rng.normal(size=(n, D)) / np.sqrt(precision)
    return np.hstack([x, *h[1::2]])


@pytest.mark.parametrize("units", [(3, 2), (3, 2, 2), (2, 2, 2, 2)])
def test_the_energy_is_an_upper_bound_that_falls_with_every_update(units, rng):
    x = rng.normal(size=(100, D))
    energies = []
    for steps in (1, 2, 5, 30):
        model = make(units, np.random.default_rng(3), size=1.2, steps=steps)
        energies.append(energy_of(model, x))
    exact = -log_sum_exp(-joint_energy(model, x))
    assert (energies[-1] - exact).min() > 0
    assert np.diff(energies, axis=0).max() < 1e-12
    assert np.median(energies[-1] - exact) < 0.5


@pytest.mark.parametrize("units", [(3,), (3, 2), (3, 2, 2)])
def test_the_energy_is_exact_where_the_hidden_units_are_independent(units, rng):
    model = disconnect(make(units, rng))
    x = rng.normal(size=(6, D))
    joint = joint_energy(model, x)
    np.testing.assert_allclose(energy_of(model, x), -log_sum_exp(-joint), rtol=1e-10)
    posterior = np.exp(-joint - log_sum_exp(-joint)[:, None])
    means = [posterior @ h for h in hidden_states(units)]
    for got, expected in zip(model.normalized_features(tf.constant(x)), means, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_the_means_solve_the_mean_field_equations_and_minimise_the_free_energy(rng):
    model = make((3, 2), rng, steps=80)
    (w1, w2), (c1, c2), *_ = parameters(model)
    x = rng.normal(size=(4, D))
    m1, m2 = (m.numpy() for m in model.normalized_features(tf.constant(x)))
    np.testing.assert_allclose(m1, sigmoid(x @ w1 + c1 + m2 @ w2.T), atol=1e-9)
    np.testing.assert_allclose(m2, sigmoid(m1 @ w2 + c2), atol=1e-9)

    h = hidden_states((3, 2))
    joint = joint_energy(model, x)

    def free_energy(means):
        log_q = sum(
            (s * np.log(m[:, None]) + (1 - s) * np.log(1 - m[:, None])).sum(axis=2)
            for s, m in zip(h, means, strict=True)
        )
        return (np.exp(log_q) * (joint + log_q)).sum(axis=1)

    np.testing.assert_allclose(energy_of(model, x), free_energy([m1, m2]), rtol=1e-9)
    for _ in range(5):
        near = [np.clip(m + 0.02 * rng.normal(size=m.shape), 1e-6, 1 - 1e-6) for m in (m1, m2)]
        assert np.all(free_energy(near) > energy_of(model, x))


def test_one_layer_is_a_gaussian_rbm(rng):
    model = make((3,), rng)
    x = rng.normal(size=(5, D))
    for name in ("energy", "gradient", "reconstruction", "hidden"):
        got, expected = (
            getattr(m, f"normalized_{name}")(tf.constant(x)) for m in (model, model.first)
        )
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def test_the_reconstruction_is_the_pass_down_from_the_converged_means(rng):
    """At the minimum the means do not contribute to the gradient."""
    model = make((3, 2), rng, steps=80, precision=None)
    (w1, _), _, b, _ = parameters(model)
    x = rng.normal(size=(4, D))
    m1 = model.normalized_features(tf.constant(x))[0].numpy()
    rebuilt = model.normalized_reconstruction(tf.constant(x))
    np.testing.assert_allclose(rebuilt, b + m1 @ w1.T, rtol=1e-7)


@pytest.mark.parametrize("units", [(3, 2), (2, 2, 2, 2)])
def test_energy_of_a_state_sums_the_odd_layers_out(units, rng):
    model = make(units, rng)
    state = exact_states(model, 6, rng)
    x, joint, h = state[:, :D], joint_energy(model, state[:, :D]), hidden_states(units)
    even = np.hstack(h[1::2])
    for row in range(6):
        same = (even == state[row, D:]).all(axis=1)
        expected = -log_sum_exp(-joint[row][same])
        got = model.gibbs_energy(tf.constant(state[row : row + 1]))
        np.testing.assert_allclose(got, [expected], rtol=1e-10)
    np.testing.assert_allclose(model.gibbs_visible(tf.constant(state)), x)


@pytest.mark.parametrize("units", [(3,), (3, 2), (2, 2, 2)])
def test_gibbs_sampling_leaves_the_model_invariant(units, rng):
    model, n = make(units, rng), 40000
    start, fresh = exact_states(model, n, rng), exact_states(model, n, rng)
    moved = model.gibbs_step(tf.constant(start), SEED, 1.0).numpy()
    assert moved.shape == (n, *model.gibbs_state_shape())
    assert_moments_stay(fresh, moved)
    assert np.abs(moved - start).mean() > 0.2


def test_chains_start_at_the_data_with_mean_field_draws(rng):
    model = make((3, 2), rng)
    x = np.repeat(rng.normal(size=(1, D)), 20000, axis=0)
    state = model.gibbs_start(tf.constant(x), SEED).numpy()
    np.testing.assert_array_equal(state[:, :D], x)
    mean = np.asarray(model.hidden(x[:1]))
    error = np.sqrt(mean * (1 - mean) / 20000)
    assert np.all(np.abs(state[:, D:].mean(axis=0) - mean) < 4.5 * error)


def test_contrastive_gradient_over_the_model_is_that_of_the_likelihood(rng):
    """Positive phase exact for independent hidden units, negative phase for any."""
    model = make((2, 2), rng, size=0.6)
    variables = model.trainable_variables

    # Inputs on a grid and all even states, weighted with their probabilities.
    axis = np.linspace(-14, 14, 141)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, D)
    states = np.vstack([np.hstack([grid, np.tile(h, (len(grid), 1))]) for h in bits(2)])
    log_p = -np.asarray(model.gibbs_energy(tf.constant(states)))
    weight = np.exp(log_p - log_sum_exp(log_p))
    cell = (axis[1] - axis[0]) ** D
    log_z = log_sum_exp(log_weights(model))
    assert log_sum_exp(log_p) + np.log(cell) == pytest.approx(log_z, abs=1e-6)
    negative = gradient(
        lambda: tf.reduce_sum(weight * model.gibbs_energy(tf.constant(states))), variables
    )
    assert_slope(model, variables, negative, lambda: -log_sum_exp(log_weights(model)))

    disconnect(model)
    data = rng.normal(size=(5, D))
    positive = gradient(
        lambda: tf.reduce_mean(model.normalized_energy(tf.constant(data))), variables
    )
    assert_slope(
        model, variables, positive, lambda: -log_sum_exp(-joint_energy(model, data)).mean()
    )


def assert_slope(model, variables, gradients, function):
    """Gradients against differences of a function of the weights, for each weight."""
    for variable, g in zip(variables, gradients, strict=True):
        value = variable.numpy()
        for index in np.ndindex(*value.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = value.copy()
                moved[index] += step
                variable.assign(moved)
                ends.append(function())
            assert g[index] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-6), variable.path
        variable.assign(value)


@pytest.mark.parametrize(
    "trace", ["auto", *(pytest.param(t, marks=pytest.mark.slow) for t in ("nested_tape", "basis"))]
)
def test_score_matching_matches_the_score_of_the_mean_field_energy(trace, rng):
    model = make((3, 2), rng, steps=4, objective=dv.ScoreMatching(trace))
    x, h = rng.normal(size=(4, D)), 1e-4
    trace_of_hessian = sum(
        (energy_of(model, x + h * e) - 2 * energy_of(model, x) + energy_of(model, x - h * e)) / h**2
        for e in np.eye(D)
    )
    slopes = [
        (energy_of(model, x + h * e) - energy_of(model, x - h * e)) / (2 * h) for e in np.eye(D)
    ]
    half = 0.5 * np.square(slopes).sum(axis=0)
    value = model.objective.compute(model, tf.constant(x), training=True)
    np.testing.assert_allclose(value.loss, half - trace_of_hessian, atol=1e-5)


@pytest.mark.slow
def test_training_on_score_matching_lowers_the_loss(rng):
    x = (2.0 * np.sign(rng.normal(size=(200, 1))) + rng.normal(size=(200, D))).astype("float32")
    model = dv.DBM((2, 2), 2, dv.ScoreMatching(), normalization="none", seed=0)
    model.build((None, D))
    model.compile(keras.optimizers.Adam(0.03), steps_per_execution=20)
    data = tf.data.Dataset.from_tensors(x).repeat(40)
    losses = model.fit(data, epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0] - 0.05


def test_likelihood_rises_by_contrastive_divergence(rng):
    """From a single Gaussian to two clusters; −log p exactly, by sums over all hidden states."""
    center = np.array([1.5, 1.5])
    x = np.where(rng.uniform(size=(400, 1)) < 0.5, center, -center) + rng.normal(size=(400, 2))
    objective = dv.ContrastiveDivergence(k=2, persistent=True, chains=200, seed=0)
    model = dv.DBM((2, 2), 3, objective, normalization="none", seed=0, dtype="float64")
    model.build((None, D))

    def log_likelihood():
        return (
            log_sum_exp(-joint_energy(model, x)).mean()
            - log_sum_exp(log_weights(model))
        )  # fmt: skip

    before = log_likelihood()
    model.compile(keras.optimizers.Adam(0.02), steps_per_execution=50)
    model.fit(tf.data.Dataset.from_tensors(x).repeat(400), verbose=0)
    assert log_likelihood() > before + 0.5


@pytest.mark.slow
def test_training_saving_and_loading(tmp_path, rng):
    x = rng.normal(size=(24, 2, 2, 1)).astype("float32")
    model = dv.DBM((4, 3, 2), 2, scale=2.0, visible_precision="scalar", seed=1)
    model.adapt(x)
    model.compile("adam")
    model.fit(x, batch_size=8, verbose=0)
    assert model.features(x).shape == (24, 9)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.units, loaded.mean_field_steps) == ((4, 3, 2), 2)
    np.testing.assert_array_equal(loaded.energy(x), model.energy(x))
    np.testing.assert_array_equal(loaded.objective.pool.state, model.objective.pool.state)


def test_layerwise_training_shares_the_weights(rng):
    x = rng.normal(size=(16, D)).astype("float32")
    model = dv.DBM((4, 3), 2, seed=1)
    model.adapt(x)
    stage = model.layer_stage(2)
    assert stage.machines[0] is model.first
    assert stage.machines[1].hidden_layer is model.upper[0]
    trained = {w.path for w in stage.trainable_variables}
    assert trained == {w.path for w in stage.machines[1].trainable_variables}
    model.first.trainable = True
    before = model.get_weights()
    histories = dv.fit_layerwise(model, x, epochs=1, joint_epochs=1, batch_size=8, verbose=0)
    assert list(histories) == ["layer 1 of 2", "layer 2 of 2", "all layers"]
    assert not np.array_equal(before[0], model.get_weights()[0])
    assert len(model.trainable_variables) == 5


def test_mixed_precision_trains(rng):
    x = rng.normal(size=(16, D)).astype("float32")
    model = dv.DBM((4, 3), 2, dtype="mixed_bfloat16")
    model.adapt(x)
    model.compile("adam")
    assert np.isfinite(model.fit(x, batch_size=8, verbose=0).history["loss"]).all()
    assert model.energy(x).dtype == tf.float32


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="units must be one or more positive integers"):
        dv.DBM(units=())
    with pytest.raises(ValueError, match="mean_field_steps must be one or more positive integers"):
        dv.DBM(mean_field_steps=0)
    with pytest.raises(ValueError, match="'scalar' or 'diagonal', got 'full'"):
        dv.DBM(visible_precision="full")
    with pytest.raises(TypeError, match="objective must be an Objective"):
        dv.DBM(objective="score")
