"""The RBM of binary inputs against sums over all states."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from enumeration import bits, gradient, log_sum_exp, randomize, sigmoid

import delvm_tf as dv
from delvm_tf.objectives.contrastive_divergence import ContrastiveDivergence

D, M = 4, 3


def make(rng):
    model = dv.BernoulliRBM(M, dtype="float64")
    model.build((None, D))
    return randomize(model, rng)


def joint(model, v, h):
    w, c = (np.asarray(p) for p in model.hidden_layer.get_weights())
    return -(v @ np.asarray(model.visible_bias))[:, None] - (v @ w + c) @ h.T


def probabilities(model):
    log_p = -np.asarray(model.energy(bits(D)))
    return np.exp(log_p - log_sum_exp(log_p))


def test_free_energy_and_hidden_means_are_sums_over_the_hidden_units(rng):
    model, v, h = make(rng), bits(D), bits(M)
    energies = joint(model, v, h)
    np.testing.assert_allclose(model.energy(v), -log_sum_exp(-energies), rtol=1e-10)
    posterior = np.exp(-energies - log_sum_exp(-energies)[:, None])
    np.testing.assert_allclose(model.hidden(v), posterior @ h, rtol=1e-10)
    w = model.hidden_layer.get_weights()[0]
    rebuilt = sigmoid((posterior @ h) @ w.T + np.asarray(model.visible_bias))
    np.testing.assert_allclose(model.reconstruct(v), rebuilt, rtol=1e-10)


def test_gibbs_sampling_leaves_the_model_invariant(rng):
    model, p, n = make(rng), None, 60000
    p = probabilities(model)
    start = bits(D)[rng.choice(2**D, size=n, p=p / p.sum())]
    moved = model.gibbs_step(tf.constant(start), tf.constant([1, 2]), 1.0).numpy()
    assert set(np.unique(moved)) == {0.0, 1.0}
    counts = np.bincount((moved @ 2 ** np.arange(D)[::-1]).astype(int), minlength=2**D)
    z = (counts / n - p) / np.sqrt(p * (1 - p) / n)
    assert np.abs(z).max() < 4.5
    assert np.square(z).sum() < 45  # χ² of 15 degrees of freedom


def test_contrastive_gradient_over_the_model_is_that_of_the_likelihood(rng):
    model, p = make(rng), None
    data, p = bits(D)[[0, 3, 3, 9]], probabilities(model)
    variables = model.trainable_variables
    positive = gradient(
        lambda: tf.reduce_mean(model.normalized_energy(tf.constant(data))), variables
    )
    negative = gradient(
        lambda: tf.reduce_sum(p * model.gibbs_energy(tf.constant(bits(D)))), variables
    )
    exact = gradient(
        lambda: (
            tf.reduce_mean(model.normalized_energy(tf.constant(data)))
            + tf.reduce_logsumexp(-model.normalized_energy(tf.constant(bits(D))))
        ),
        variables,
    )
    for got, n, expected in zip(positive, negative, exact, strict=True):
        np.testing.assert_allclose(got - n, expected, rtol=1e-9, atol=1e-12)


def test_likelihood_rises_on_two_patterns(tmp_path):
    x = np.tile([[1, 1, 0, 0], [0, 0, 1, 1]], (50, 1)).astype("float32")
    model = dv.BernoulliRBM(2, seed=1, objective=ContrastiveDivergence(k=2, seed=0))
    model.build((None, D))

    def log_likelihood():
        log_z = log_sum_exp(-np.asarray(model.energy(bits(D).astype("float32"))))
        return -np.asarray(model.energy(x)).mean() - log_z

    before = log_likelihood()
    model.compile(keras.optimizers.Adam(0.05), steps_per_execution=50)
    model.fit(tf.data.Dataset.from_tensors(x).repeat(300), verbose=0)
    assert before < -2.5
    assert log_likelihood() > -0.9  # the best is log ½ = −0.69
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.energy(x), model.energy(x))


def test_binary_inputs_have_no_score(rng):
    with pytest.raises(TypeError, match="inputs of BernoulliRBM are binary, which have none"):
        dv.BernoulliRBM(3, objective=dv.ScoreMatching())
    model = make(rng)
    with pytest.raises(TypeError, match="binary inputs, which have no score"):
        model.score(bits(D))
    with pytest.raises(TypeError, match="can only be Gibbs sampled, got Langevin"):
        dv.BernoulliRBM(3, objective=ContrastiveDivergence(sampler="langevin"))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="units must be one or more positive integers"):
        dv.BernoulliRBM(units=0)
    with pytest.raises(ValueError, match="must be 'none' or 'minmax' with scale 1, got 'zscore'"):
        dv.BernoulliRBM(normalization="zscore")


def test_minmax_takes_other_units(rng):
    x = 255 * rng.integers(0, 2, size=(20, D)).astype("uint8")
    model = dv.BernoulliRBM(3, normalization="minmax")
    model.adapt(x)
    samples = np.asarray(model.sample(8, "gibbs", steps=3, seed=0))
    np.testing.assert_allclose(samples, 255 * (samples > 127), rtol=1e-5)
    assert 0 < (samples > 127).mean() < 1
