import numpy as np
import tensorflow as tf

from delvm_tf.detection.levels.memory import DenoisingMemory

SIGMAS = (1.0, 0.25, 1 / 16)


def reference(x, rows, sigma):
    """−log of the mean of the kernels, and ‖σ · its gradient‖², in float64."""
    energies, errors = [], []
    for point in np.asarray(x, np.float64):
        exponents = -np.square(point - rows).sum(axis=1) / (2 * sigma**2)
        top = exponents.max()
        weights = np.exp(exponents - top)
        energies.append(-(top + np.log(weights.mean())))
        gradient = (point - weights @ rows / weights.sum()) / sigma**2
        errors.append(np.square(sigma * gradient).sum())
    return energies, errors


def test_energies_and_errors_are_those_of_the_smoothed_rows(rng):
    rows = rng.normal(size=(200, 4)).astype("float32")
    x = rng.normal(size=(30, 4)).astype("float32") * 3
    found = DenoisingMemory(rows)(tf.constant(x)).numpy()
    for k, sigma in enumerate(SIGMAS):
        energies, errors = reference(x, rows.astype(np.float64), sigma)
        np.testing.assert_allclose(found[:, 2 * k], energies, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(found[:, 2 * k + 1], errors, rtol=1e-3, atol=1e-3)


def test_the_error_is_that_of_the_gradient(rng):
    memory = DenoisingMemory(rng.normal(size=(50, 3)).astype("float32"))
    x = tf.constant(rng.normal(size=(10, 3)), tf.float32)
    for k, sigma in enumerate(SIGMAS[:2]):
        with tf.GradientTape() as tape:
            tape.watch(x)
            energy = memory(x)[:, 2 * k]
        squares = tf.reduce_sum(tf.square(sigma * tape.gradient(energy, x)), axis=1)
        np.testing.assert_allclose(memory(x)[:, 2 * k + 1], squares, rtol=2e-3, atol=1e-3)


def test_of_the_rows_that_equal_it_one_is_left_out(rng):
    rows = 40 * rng.normal(size=(80, 5)).astype("float32")
    rows[3] = rows[1]  # twice
    rows[5] = rows[6] = rows[7] = 0.0  # three times
    rows[:, 4] *= 1000  # far from the origin
    found = DenoisingMemory(rows)(tf.constant(rows[:10])).numpy()
    for k in range(10):
        others = np.delete(rows, k, axis=0).astype(float)
        for level, sigma in enumerate(SIGMAS):
            energies, errors = reference(rows[k : k + 1], others, sigma)
            np.testing.assert_allclose(found[k, 2 * level], energies[0], rtol=1e-4)
            np.testing.assert_allclose(found[k, 2 * level + 1], errors[0], rtol=1e-4, atol=1e-3)


def test_a_row_that_is_nearly_remembered_is_not_left_out(rng):
    rows = rng.normal(size=(80, 5)).astype("float32")
    x = rows[:10] * (1 + 1e-5)
    found = DenoisingMemory(rows)(tf.constant(x)).numpy()
    energies, _ = reference(x, rows.astype(float), 1 / 16)
    np.testing.assert_allclose(found[:, 4], energies, rtol=1e-4)


def test_far_rows_have_energies_of_their_distance_and_nothing_overflows(rng):
    rows = rng.normal(size=(100, 3)).astype("float32")
    found = DenoisingMemory(rows)(tf.fill((1, 3), 50.0)).numpy()
    assert np.isfinite(found).all()
    nearest = np.square(50 - rows.astype(np.float64)).sum(axis=1).min()
    np.testing.assert_allclose(found[0, 4], nearest * 128 + np.log(100), rtol=1e-5)


def test_as_many_rows_are_kept_as_products_allow(rng):
    wide = rng.normal(size=(3000, 100)).astype("float32")
    assert DenoisingMemory(wide).rows.shape[0] == 1000
    assert DenoisingMemory(wide[:, :1]).rows.shape[0] == 3000
