"""Boltzmann machines by brute force: sums over all binary states, in float64 NumPy."""

import itertools

import numpy as np
import tensorflow as tf


def bits(n):
    """All vectors of n bits, (2ⁿ, n)."""
    return np.array(list(itertools.product([0.0, 1.0], repeat=n))).reshape(-1, n)


def log_sum_exp(a, axis=-1):
    top = a.max(axis=axis, keepdims=True)
    return (top + np.log(np.exp(a - top).sum(axis=axis, keepdims=True))).squeeze(axis)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def randomize(model, rng, size=0.8):
    """Give every trainable weight a random value; roots of precisions stay near 1."""
    for weight in model.trainable_variables:
        value = rng.normal(0, size, size=weight.shape)
        weight.assign(1.2 + 0.2 * np.tanh(value) if "root" in weight.path else value)
    return model


def gradient(function, variables):
    """Gradients as NumPy arrays, zero where there is none."""
    with tf.GradientTape() as tape:
        value = function()
    gradients = tape.gradient(value, variables, unconnected_gradients="zero")
    return [tf.convert_to_tensor(g).numpy() for g in gradients]


def assert_moments_stay(before, after):
    """First and second moments of two independent sets of samples agree within 4.5 errors."""
    pairs = [(i, j) for i in range(before.shape[1]) for j in range(i + 1)]
    for power in ([before, after], [np.stack([s[:, i] * s[:, j] for i, j in pairs], axis=1)
                                    for s in (before, after)]):  # fmt: skip
        difference = power[1].mean(axis=0) - power[0].mean(axis=0)
        error = np.sqrt(sum(s.var(axis=0) / len(s) for s in power))
        assert np.all(np.abs(difference) < 4.5 * error + 1e-12), (difference / error).round(1)
