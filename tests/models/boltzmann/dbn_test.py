"""Deep belief networks against sums over all hidden states."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from enumeration import assert_moments_stay, bits, log_sum_exp, randomize, sigmoid

import delvm_tf as dv
from delvm_tf.models.boltzmann import factorial

D = 2


def make(units, rng, size=0.8, precision="diagonal", **kwargs):
    model = dv.DBN(
        units, normalization="none", visible_precision=precision, dtype="float64", **kwargs
    )
    model.build((None, D))
    return randomize(model, rng, size)


def bernoulli_log_p(h, p):
    return (h * np.log(p) + (1 - h) * np.log(1 - p)).sum(axis=-1)


def upper_parameters(machine):
    return (*(np.asarray(v) for v in machine.hidden_layer.get_weights()), machine.visible_bias)


def log_prior(model):
    """Log p(h¹) for all h¹ and log Z of the top machine, by sums over all layers above."""
    *middle, top = model.machines[1:]
    w, c, b = upper_parameters(top)
    h = bits(w.shape[0])
    joint = (h @ np.asarray(b))[:, None] + (h @ w + c) @ bits(w.shape[1]).T
    log_z = log_sum_exp(joint.reshape(-1))
    log_p = log_sum_exp(joint) - log_z
    for machine in reversed(middle):
        w, _, b = upper_parameters(machine)
        below = bits(w.shape[0])
        p = sigmoid(h @ w.T + np.asarray(b))
        log_p = log_sum_exp(log_p + bernoulli_log_p(below[:, None], p[None]))
        h = below
    return log_p, log_z


def gaussian_parameters(model):
    first = model.machines[0]
    w, c = (np.asarray(v) for v in first.network.get_weights())
    root = 1.0 if first.visible.precision is None else np.asarray(first.visible.root)
    return w, c, np.asarray(first.visible.mean), np.square(root) * np.ones(D)


def negative_log_density(model, x):
    """−log p(x), and log Z of the top machine."""
    w, _, b, precision = gaussian_parameters(model)
    log_p, log_z = log_prior(model)
    center = b + bits(w.shape[1]) @ w.T / precision
    conditional = -0.5 * (precision * np.square(x[:, None] - center)).sum(axis=2)
    conditional += 0.5 * np.log(precision / (2 * np.pi)).sum()
    return -log_sum_exp(conditional + log_p), log_z


@pytest.mark.parametrize("units", [(3, 2), (3, 2, 2), (2, 3, 2, 2)])
@pytest.mark.parametrize("size", [0.3, 1.5])
def test_the_energy_is_an_upper_bound(units, size, rng):
    model = make(units, rng, size)
    x = rng.normal(size=(200, D))
    exact, log_z = negative_log_density(model, x)
    gap = np.asarray(model.energy(x)) + log_z - exact
    assert gap.min() > 0
    if size == 0.3:
        assert gap.max() < 1.0  # and not an idle one


def test_the_bound_is_the_sum_over_the_recognition_distribution_term_by_term(rng):
    """Two layers: all but the top machine's energy is the average over q(h¹)."""
    model = make((3, 2), rng)
    w, c, b, precision = gaussian_parameters(model)
    x, h = rng.normal(size=(5, D)), bits(3)
    mean = sigmoid(x @ w + c)
    log_q = bernoulli_log_p(h, mean[:, None])
    center = b + h @ w.T / precision
    log_p = -0.5 * (precision * np.square(x[:, None] - center)).sum(axis=2)
    log_p += 0.5 * np.log(precision / (2 * np.pi)).sum()
    expected = (np.exp(log_q) * (log_q - log_p)).sum(axis=1)
    expected += np.asarray(model.machines[1].normalized_energy(tf.constant(mean)))
    np.testing.assert_allclose(model.energy(x), expected, rtol=1e-10)


@pytest.mark.parametrize("units", [(3, 2), (3, 2, 2)])
def test_the_bound_is_tight_where_recognition_is_exact(units, rng):
    """Without connections h is independent of x, and q = p if the biases agree."""
    model = make(units, rng)
    model.machines[0].network.layers[-1].kernel.assign(np.zeros((D, 3)))
    for below, machine in zip(model.machines, model.machines[1:], strict=False):
        machine.hidden_layer.kernel.assign(np.zeros(machine.hidden_layer.kernel.shape))
        machine.visible_bias.assign(below.hidden_bias)
    x = rng.normal(size=(6, D))
    exact, log_z = negative_log_density(model, x)
    np.testing.assert_allclose(np.asarray(model.energy(x)) + log_z, exact, rtol=1e-9)


def test_the_softplus_bound_lies_above_the_average():
    """Of a sum of independent bits; the softplus of the mean lies below."""
    w, mu = np.array([1.5, -2.0, 0.7]), np.array([0.3, 0.6, 0.5])
    h = bits(3)
    weight = np.exp(bernoulli_log_p(h, mu))
    for bias in (-3.0, -0.5, 0.0, 2.0):
        exact = weight @ np.logaddexp(0, h @ w + bias)
        mean = tf.constant(mu @ w + bias)
        bound = factorial.softplus_bound(mean, tf.constant((mu * (1 - mu)) @ w**2))
        assert np.logaddexp(0, mu @ w + bias) < exact < bound < exact + 0.1
        tight = factorial.softplus_bound(mean, tf.zeros_like(mean))
        assert float(tight) == pytest.approx(np.logaddexp(0, mu @ w + bias), abs=1e-6)


def test_one_layer_is_a_gaussian_rbm(rng):
    model = make((3,), rng)
    x = rng.normal(size=(5, D))
    for name in ("normalized_energy", "normalized_hidden"):
        expected = getattr(model.machines[0], name)(tf.constant(x))
        np.testing.assert_allclose(getattr(model, name)(tf.constant(x)), expected, rtol=1e-10)
    steps = [
        m.gibbs_step(tf.constant(x), tf.constant([1, 2]), 1.0) for m in (model, model.machines[0])
    ]
    np.testing.assert_array_equal(*steps)


def test_hidden_features_and_reconstruction_are_mean_field_passes(rng):
    model = make((3, 2), rng)
    w, c, b, precision = gaussian_parameters(model)
    w2, c2, b2 = upper_parameters(model.machines[1])
    x = rng.normal(size=(5, D))
    first = sigmoid(x @ w + c)
    second = sigmoid(first @ w2 + c2)
    np.testing.assert_allclose(model.hidden(x), second, rtol=1e-10)
    np.testing.assert_allclose(model.features(x), np.hstack([first, second]), rtol=1e-10)
    down = sigmoid(second @ w2.T + np.asarray(b2))
    np.testing.assert_allclose(model.reconstruct(x), b + down @ w.T / precision, rtol=1e-10)


@pytest.mark.parametrize("units", [(3, 2), (3, 2, 2)])
def test_samples_come_from_the_density(units, rng):
    """From exact top samples on, a Gibbs step leaves x with the moments of p(x)."""
    model, n = make(units, rng), 40000
    machine = model.machines[-1]
    h = bits(machine.kernel.shape[0])
    log_p = -np.asarray(machine.normalized_energy(tf.constant(h)))
    p = np.exp(log_p - log_sum_exp(log_p))
    top = h[rng.choice(len(h), size=n, p=p / p.sum())]
    state = tf.constant(np.hstack([np.full((n, D), 9.0), top]))
    moved = model.gibbs_step(state, tf.constant([1, 2]), 1.0)
    assert moved.shape == (n, *model.gibbs_state_shape())

    w, _, b, precision = gaussian_parameters(model)
    prior = np.exp(log_prior(model)[0])
    first = bits(w.shape[1])[rng.choice(len(prior), size=n, p=prior / prior.sum())]
    exact = b + first @ w.T / precision + rng.normal(size=(n, D)) / np.sqrt(precision)
    assert_moments_stay(exact, model.gibbs_visible(moved).numpy())
    np.testing.assert_allclose(
        model.gibbs_energy(state)[:3], machine.normalized_energy(tf.constant(top[:3]))
    )


def test_training_sums_the_machines_and_their_gradients_do_not_mix(rng):
    model = make((3, 2), rng, objective=dv.ContrastiveDivergence(seed=0))
    z = tf.constant(rng.normal(size=(8, D)))
    with tf.GradientTape(persistent=True) as tape:
        value = model.objective.compute(model, z, training=True)
    np.testing.assert_allclose(value.loss, sum(value.terms.values()))
    for name, machine in zip(("layer_1", "layer_2"), model.machines, strict=True):
        own = machine.trainable_variables
        for g, whole in zip(tape.gradient(value.terms[name], own),
                            tape.gradient(value.loss, own), strict=True):  # fmt: skip
            np.testing.assert_array_equal(g, whole)
            assert np.abs(whole).max() > 0
    assert model.machines[0].objective is not model.machines[1].objective
    assert [m.objective.seed for m in model.machines] == [0, 1]


def test_training_saving_and_loading(tmp_path, rng):
    x = rng.normal(size=(24, 2, 2, 1)).astype("float32")
    objective = dv.ContrastiveDivergence(k=2, persistent=True, chains=6, data_noise=0.1, seed=4)
    model = dv.DBN(
        (4, 3), objective, scale=2.0, visible_precision="scalar", upper_inputs="sample", seed=1
    )
    model.adapt(x)
    model.compile("adam")
    history = model.fit(x, batch_size=8, verbose=0).history
    assert {"layer_1", "layer_2", "reconstruction_error"} <= set(history)
    assert all(m.objective.pool.started.numpy().all() for m in model.machines)
    assert model.machines[1].objective.data_noise == 0.0
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    z = model.normalization(x)
    np.testing.assert_array_equal(loaded.normalization(x), z)
    for name in ("energy", "hidden", "reconstruction"):
        got, expected = (getattr(m, f"normalized_{name}")(z) for m in (loaded, model))
        np.testing.assert_array_equal(got, expected)
    for ours, theirs in zip(model.machines, loaded.machines, strict=True):
        np.testing.assert_array_equal(ours.objective.pool.state, theirs.objective.pool.state)
    losses = [m.fit(x, batch_size=8, shuffle=False, verbose=0).history for m in (model, loaded)]
    assert losses[0]["loss"] == losses[1]["loss"]


def test_stages_share_the_machines_and_train_only_their_last(rng):
    x = rng.normal(size=(16, D)).astype("float32")
    model = dv.DBN((4, 3, 2), seed=1)
    model.adapt(x)
    assert model.layer_count == 3
    before = [m.get_weights() for m in model.machines]
    stage = model.layer_stage(2)
    assert stage.machines == model.machines[:2]
    assert stage.normalization is model.normalization
    stage.compile("adam")
    history = stage.fit(x, batch_size=8, verbose=0).history
    assert "layer_2" in history
    assert "layer_1" not in history
    changed = [
        any(not np.array_equal(a, b) for a, b in zip(old, m.get_weights(), strict=True))
        for old, m in zip(before, model.machines, strict=True)
    ]
    assert changed == [False, True, False]
    with pytest.raises(ValueError, match="depth must lie between 1 and 3, got 4"):
        model.layer_stage(4)


def test_layerwise_training(rng):
    x = rng.normal(size=(16, D)).astype("float32")
    model = dv.DBN((4, 3), seed=1)
    model.adapt(x)
    histories = dv.fit_layerwise(model, x, epochs=1, batch_size=8, verbose=0)
    assert list(histories) == ["layer 1 of 2", "layer 2 of 2"]
    assert all(machine.trainable for machine in model.machines)
    for machine in model.machines:
        machine.trainable = False
    with pytest.raises(ValueError, match=r"no layer of .* is trainable"):
        model.objective.compute(model, model.normalization(x), training=True)


def test_mixed_precision_trains(rng):
    x = rng.normal(size=(16, D)).astype("float32")
    model = dv.DBN((4, 3), dtype="mixed_bfloat16")
    model.adapt(x)
    model.compile("adam")
    assert np.isfinite(model.fit(x, batch_size=8, verbose=0).history["loss"]).all()
    assert model.energy(x).dtype == tf.float32


def test_bad_arguments_are_refused():
    for objective in (dv.ScoreMatching(), dv.Reconstruction()):
        with pytest.raises(TypeError, match="binary and have no score, so it takes"):
            dv.DBN(objective=objective)
    with pytest.raises(TypeError, match="can only be Gibbs sampled, got Langevin"):
        dv.DBN(objective=dv.ContrastiveDivergence(sampler="langevin"))
    with pytest.raises(ValueError, match="units must be one or more positive integers"):
        dv.DBN(units=(4, 0))
    with pytest.raises(ValueError, match="upper_inputs must be one of mean, sample, got 'x'"):
        dv.DBN(upper_inputs="x")
    with pytest.raises(TypeError, match="must be a GaussianRBM and BernoulliRBMs above it"):
        dv.DBN(machines=[dv.BernoulliRBM(3)])
    with pytest.raises(ValueError, match="machines of a DBN have normalization='none'"):
        dv.DBN(machines=[dv.GaussianRBM(3)])
