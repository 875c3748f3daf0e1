"""The Gaussian RBM against sums over its binary hidden units."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from enumeration import assert_moments_stay, bits, gradient, log_sum_exp, randomize, sigmoid

import delvm_tf as dv
from delvm_tf.objectives.contrastive_divergence import ContrastiveDivergence

D, M = 2, 3
SEED = tf.constant([1, 2])


def make(rng, precision=None, shape=(D,), **kwargs):
    model = dv.GaussianRBM(
        M, normalization="none", visible_precision=precision, dtype="float64", **kwargs
    )
    model.build((None, *shape))
    return randomize(model, rng)


def parameters(model):
    """W, b, c and the diagonal of Λ."""
    w, c = (np.asarray(v) for v in model.network.get_weights())
    b = np.asarray(model.visible.mean).reshape(-1)
    root = 1.0 if model.visible.precision is None else np.asarray(model.visible.root).reshape(-1)
    return w, b, c, np.broadcast_to(np.square(root), b.shape)


def joint_energy(model, x, h):
    """E(x, h) for all pairs, (x, h), as written in the literature."""
    w, b, c, precision = parameters(model)
    quadratic = 0.5 * (precision * np.square(x - b)).sum(axis=1)
    return quadratic[:, None] - (x @ w + c) @ h.T


def mixture(model):
    """The model is a mixture of Gaussians: log weights, means, and standard deviations."""
    w, b, c, precision = parameters(model)
    h = bits(M)
    pulled = h @ w.T
    log_weight = h @ c + pulled @ b + 0.5 * np.square(pulled) @ (1 / precision)
    gaussian = 0.5 * (len(b) * np.log(2 * np.pi) - np.log(precision).sum())
    return log_weight + gaussian, b + pulled / precision, 1 / np.sqrt(precision)


def exact_samples(model, n, rng):
    log_weight, means, deviation = mixture(model)
    p = np.exp(log_weight - log_sum_exp(log_weight))
    component = rng.choice(len(p), size=n, p=p / p.sum())
    return means[component] + deviation * rng.normal(size=(n, means.shape[1]))


PRECISIONS = [None, "scalar", "diagonal"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_free_energy_sums_the_hidden_units_out(precision, rng):
    model = make(rng, precision)
    x = rng.normal(size=(7, D))
    expected = -log_sum_exp(-joint_energy(model, x, bits(M)))
    np.testing.assert_allclose(model.energy(x), expected, rtol=1e-10)
    joint = joint_energy(model, x, bits(M))
    posterior = np.exp(-joint - log_sum_exp(-joint)[:, None])
    np.testing.assert_allclose(model.hidden(x), posterior @ bits(M), rtol=1e-10)
    np.testing.assert_allclose(model.features(x), model.hidden(x), rtol=1e-10)
    w, b, _, lam = parameters(model)
    rebuilt = x - lam * (x - b) + np.asarray(model.hidden(x)) @ w.T
    np.testing.assert_allclose(model.reconstruct(x), rebuilt, rtol=1e-10)


def test_images_are_flattened(rng):
    model = make(rng, "diagonal", shape=(2, 2, 1))
    x = rng.normal(size=(5, 2, 2, 1))
    expected = -log_sum_exp(-joint_energy(model, x.reshape(5, 4), bits(M)))
    np.testing.assert_allclose(model.energy(x), expected, rtol=1e-10)
    assert model.reconstruct(x).shape == x.shape
    assert model.gibbs_step(tf.constant(x), SEED, 1.0).shape == x.shape


def test_it_is_a_dsebm_of_a_linear_network(rng):
    model = make(rng)
    network = dv.networks.ffnn((M,), activation="linear", dtype="float64")
    other = dv.DSEBM(network, normalization="none", dtype="float64")
    other.build((None, D))
    network.set_weights(model.network.get_weights())
    other.visible.set_weights(model.visible.get_weights())
    x = rng.normal(size=(6, D))
    for name in ("energy", "score", "reconstruct", "hidden"):
        np.testing.assert_allclose(
            getattr(model, name)(x), getattr(other, name)(x), rtol=1e-10, atol=1e-12
        )


@pytest.mark.parametrize("precision", PRECISIONS)
def test_gibbs_sampling_leaves_the_model_invariant(precision, rng):
    model = make(rng, precision)
    start, fresh = exact_samples(model, 40000, rng), exact_samples(model, 40000, rng)
    moved = model.gibbs_step(tf.constant(start), SEED, 1.0).numpy()
    assert_moments_stay(fresh, moved)
    assert np.abs(moved - start).mean() > 0.3  # it does move
    generic = super(dv.GaussianRBM, model).gibbs_step(tf.constant(start), SEED, 1.0)
    np.testing.assert_allclose(generic, moved, rtol=1e-9, atol=1e-9)
    assert model.chain_sampler.visible_noise == 1.0


def test_visible_noise_zero_gives_the_mean(rng):
    model = make(rng, "diagonal")
    x = rng.normal(size=(5, D))
    _, means, _ = mixture(model)
    for row in model.gibbs_step(tf.constant(x), SEED, 0.0).numpy():
        assert np.abs(means - row).max(axis=1).min() < 1e-10


def test_contrastive_gradient_over_the_model_is_that_of_the_likelihood(rng):
    """E_data[∇E] − E_model[∇E] = −∇ mean log p, with log Z from the sum over h."""
    model = make(rng, "diagonal")
    data = rng.normal(size=(6, D))
    samples = exact_samples(model, 60000, rng)
    variables = model.trainable_variables
    positive = gradient(
        lambda: tf.reduce_mean(model.normalized_energy(tf.constant(data))), variables
    )
    negative = gradient(lambda: tf.reduce_mean(model.gibbs_energy(tf.constant(samples))), variables)

    def negative_log_likelihood():
        energy = np.asarray(model.energy(data)).mean()
        return energy + log_sum_exp(mixture(model)[0])

    for variable, p, n in zip(variables, positive, negative, strict=True):
        value = variable.numpy()
        index = tuple(0 for _ in value.shape)
        slopes = []
        for step in (1e-5, -1e-5):
            moved = value.copy()
            moved[index] += step
            variable.assign(moved)
            slopes.append(negative_log_likelihood())
        variable.assign(value)
        assert (p - n)[index] == pytest.approx((slopes[0] - slopes[1]) / 2e-5, abs=0.03)


@pytest.mark.parametrize("trace", ["auto", "closed_form", "nested_tape", "basis"])
def test_score_matching_has_the_closed_form_of_the_literature(trace, rng):
    """½‖x − b − Wσ‖² − d + Σⱼ σⱼ(1 − σⱼ)‖wⱼ‖²."""
    model = make(rng, objective=dv.ScoreMatching(trace))
    x = rng.normal(size=(6, D))
    w, b, c, _ = parameters(model)
    s = sigmoid(x @ w + c)
    expected = (
        0.5 * np.square(x - b - s @ w.T).sum(axis=1) - D + (s * (1 - s)) @ np.square(w).sum(axis=0)
    )
    loss = model.objective.compute(model, tf.constant(x), training=True).loss
    np.testing.assert_allclose(loss, expected, rtol=1e-9)


def test_expected_visible_energy_is_the_average_over_the_bits(rng):
    model = make(rng, "diagonal")
    w, b, _, precision = parameters(model)
    x, mean, h = rng.normal(size=(4, D)), rng.uniform(size=(4, M)), bits(M)
    weight = np.prod(np.where(h[None], mean[:, None], 1 - mean[:, None]), axis=2)
    center = b + h @ w.T / precision
    energy = 0.5 * (precision * np.square(x[:, None] - center)).sum(axis=2)
    energy -= 0.5 * np.log(precision / (2 * np.pi)).sum()
    got = model.expected_visible_energy(tf.constant(x), tf.constant(mean))
    np.testing.assert_allclose(got, (weight * energy).sum(axis=1), rtol=1e-10)


def test_likelihood_rises_on_two_clusters(rng):
    """CD-1 from a single Gaussian to two clusters, which one hidden unit can represent."""
    center = np.array([1.5, 1.5])
    x = np.where(rng.uniform(size=(600, 1)) < 0.5, center, -center) + rng.normal(size=(600, 2))
    model = dv.GaussianRBM(
        1, normalization="none", seed=0, dtype="float64", objective=ContrastiveDivergence(seed=0)
    )
    model.build((None, 2))

    def log_likelihood():
        w, c = model.network.get_weights()
        b = np.asarray(model.visible.mean)
        pulled = bits(1) @ w.T
        log_z = log_sum_exp(bits(1) @ c + pulled @ b + 0.5 * np.square(pulled).sum(axis=1))
        return -np.asarray(model.energy(x)).mean() - log_z - np.log(2 * np.pi)

    before = log_likelihood()
    model.compile(keras.optimizers.Adam(0.03), steps_per_execution=50)
    model.fit(tf.data.Dataset.from_tensors(x).repeat(300), verbose=0)
    truth = np.log(
        0.5 * np.exp(-0.5 * np.square(x - center).sum(axis=1))
        + 0.5 * np.exp(-0.5 * np.square(x + center).sum(axis=1))
    ).mean() - np.log(2 * np.pi)
    assert before < truth - 0.5
    assert log_likelihood() > truth - 0.02


@pytest.mark.parametrize(
    "objective",
    [None, pytest.param(dv.ScoreMatching(), marks=pytest.mark.slow)],
    ids=["default", "score"],
)
def test_a_saved_model_is_the_same_and_goes_on_the_same(objective, tmp_path, rng):
    x = rng.normal(size=(24, 5)).astype("float32")
    model = dv.GaussianRBM(
        4, objective, normalization="zscore", scale=2.0, visible_precision="scalar",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.1), seed=3,
    )  # fmt: skip
    model.adapt(x)
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(x, batch_size=8, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is dv.GaussianRBM
    assert (loaded.units, loaded.visible.precision, loaded.seed) == (4, "scalar", 3)
    np.testing.assert_array_equal(loaded.energy(x), model.energy(x))
    losses = [m.fit(x, batch_size=8, shuffle=False, verbose=0).history for m in (model, loaded)]
    assert losses[0]["loss"] == losses[1]["loss"]


def test_mixed_precision_trains(rng):
    x = rng.normal(size=(16, 5)).astype("float32")
    model = dv.GaussianRBM(4, dtype="mixed_bfloat16")
    model.adapt(x)
    model.compile("adam")
    assert np.isfinite(model.fit(x, batch_size=8, verbose=0).history["loss"]).all()
    assert model.energy(x).dtype == tf.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "units must be one or more positive integers, got"),
        ({"units": 2.5}, "units must be one or more positive integers"),
        ({"visible_precision": "full"}, r"must be None \(unit noise\), 'scalar' or 'diagonal'"),
        ({"visible_precision": "zero"}, "got 'zero'"),
        ({"normalization": "magic"}, "unknown normalization 'magic'"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        dv.GaussianRBM(**arguments)
