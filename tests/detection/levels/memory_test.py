import numpy as np
import pytest
import tensorflow as tf

from delvm_tf.detection.levels.memory import LEVELS, DenoisingMemory, distinct_rows

SIGMAS = (0.25, 1 / 16)


def energy(x, rows, sigma):
    """−log of the mean of the kernels, (batch,)."""
    squares = tf.reduce_sum(tf.square(x[:, tf.newaxis] - rows), axis=2)
    log_mean = tf.reduce_logsumexp(-squares / (2 * sigma**2), axis=1)
    return tf.math.log(tf.cast(len(rows), tf.float64)) - log_mean


def reference(x, rows, sigma):
    """‖σ · the gradient of the energy‖², in float64."""
    x, rows = (tf.constant(np.asarray(each, np.float64)) for each in (x, rows))
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(energy(x, rows, sigma))
    return tf.reduce_sum(tf.square(sigma * tape.gradient(total, x)), axis=1).numpy()


def memory_of(rows, most=5000):
    places, counts = distinct_rows(rows, most)
    return DenoisingMemory(rows[places], counts)


def itself(memory, x):
    """The row that each x may be, and whether it is."""
    halves = memory.halves(x).numpy()
    same = halves.min(axis=1) < 1e-9 * halves.max()
    return tf.constant(halves.argmin(axis=1), tf.int32), tf.constant(same)


def at_levels(memory, x, left_out=None):
    """Errors, (batch, levels), and means at the first level."""
    found = []
    for memory.sigma in SIGMAS:
        found.append(memory(x, memory.halves(x), left_out))
    return tf.stack([errors for errors, _ in found], axis=1), found[0][1]


def asked(memory, x, forget=False):
    """Errors and means; rows that x is are left out if they are to be forgotten."""
    x = tf.constant(x)
    return at_levels(memory, x, itself(memory, x) if forget else None)


def test_the_error_is_that_of_the_gradient_of_the_energy(rng):
    rows = rng.normal(size=(200, 4)).astype("float32")
    x = rng.normal(size=(30, 4)).astype("float32") * 3
    found = asked(memory_of(rows), x)[0].numpy()
    for k, sigma in enumerate(SIGMAS):
        np.testing.assert_allclose(found[:, k], reference(x, rows, sigma), rtol=1e-4, atol=1e-4)


def test_a_remembered_row_is_left_out_of_its_own_energy_once(rng):
    rows = 40 * rng.normal(size=(80, 5)).astype("float32")
    rows[3] = rows[1]  # twice
    rows[5] = rows[6] = rows[7] = 0.0  # three times
    rows[:, 4] *= 1000  # far from the origin
    memory = memory_of(rows)
    found = asked(memory, rows[:10], forget=True)[0].numpy()
    with_own = asked(memory, rows[:10])[0].numpy()
    for k in range(10):
        others = np.delete(rows, k, axis=0).astype(float)
        for level, sigma in enumerate(SIGMAS):
            x = rows[k : k + 1]
            np.testing.assert_allclose(found[k, level], reference(x, others, sigma), rtol=1e-4)
            np.testing.assert_allclose(with_own[k, level], reference(x, rows, sigma), atol=1e-3)


def test_what_is_the_same_may_be_far_in_this_space(rng):
    """As by their ranks, of rows that are the same within the rounding of numbers."""
    rows = rng.normal(size=(40, 3)).astype("float32")
    rows[20:30] = rows[:10]  # twice
    x = rng.normal(size=(5, 3)).astype("float32")
    memory = memory_of(rows)
    for place in (3, 15):  # one that occurs twice, and one that occurs once
        same = tf.fill([5], place), tf.constant([True, True, False, True, True])
        found = at_levels(memory, tf.constant(x), same)[0].numpy()
        left = np.delete(rows, place, axis=0)
        for k, sigma in enumerate(SIGMAS):
            expected = reference(x, left, sigma)
            expected[2] = reference(x[2:3], rows, sigma)[0]
            np.testing.assert_allclose(found[:, k], expected, rtol=1e-3)


def test_rows_weigh_by_how_often_they_occur(rng):
    rows = rng.integers(0, 3, (500, 2)).astype("float32")
    x = rng.normal(size=(20, 2)).astype("float32")
    memory = memory_of(rows)
    assert memory.rows.shape[0] == 9
    found = asked(memory, x)[0].numpy()
    for k, sigma in enumerate(SIGMAS):
        np.testing.assert_allclose(found[:, k], reference(x, rows, sigma), rtol=1e-3, atol=1e-3)
    weights = np.exp(-8 * np.square(x[:, np.newaxis] - rows).sum(axis=2))
    mean = weights @ rows / weights.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(asked(memory, x)[1], mean, atol=1e-4)


def mean_without(k, rows, sigma):
    """What row k should be by all others, in float64."""
    others = np.delete(rows, k, axis=0).astype(float)
    halves = np.square(rows[k] - others).sum(axis=1) / 2
    weights = np.exp((halves.min() - halves) / sigma**2)
    return weights @ others / weights.sum()


@pytest.mark.parametrize("repeated", [1, 4])
@pytest.mark.parametrize("size", [0.1, 1.0, 4.0])
def test_the_level_is_where_rows_that_are_left_out_are_told_best(rng, size, repeated):
    rows = np.repeat(size * rng.normal(size=(60, 3)), repeated, axis=0).astype("float32")
    rng.shuffle(rows)
    memory = memory_of(rows)
    x = tf.constant(rows)
    memory.choose_level(x, memory.halves(x), itself(memory, x))
    medians = [
        np.median([np.linalg.norm(x - mean_without(k, rows, sigma)) for k, x in enumerate(rows)])
        for sigma in LEVELS
    ]
    # Of copies all but one stay, and small levels are then all as good.
    assert medians[LEVELS.index(memory.sigma)] <= min(medians) + 1e-6 * max(medians)


def test_smooth_rows_have_a_larger_level_than_codes(rng):
    smooth = rng.normal(size=(200, 2)).astype("float32")
    codes = rng.integers(0, 3, (200, 2)).astype("float32")
    chosen = []
    for rows in (smooth, codes):
        memory = memory_of(rows)
        x = tf.constant(rows)
        memory.choose_level(x, memory.halves(x), itself(memory, x))
        chosen.append(memory.sigma)
    assert chosen[0] > chosen[1]


def test_the_first_distinct_rows_are_kept_with_their_counts_up_to_there():
    x = np.array([[1, 2], [0.0, 3], [1, 2], [-0.0, 3], [4, 4], [1, 2], [5, 5], [1, 2]])
    places, counts = distinct_rows(x, 3)
    assert places.tolist() == [0, 1, 4]
    assert counts.tolist() == [3, 2, 1]
    assert [*map(len, distinct_rows(x, 9))] == [4, 4]


def test_far_rows_have_errors_of_their_distance_and_nothing_overflows(rng):
    rows = rng.normal(size=(100, 3)).astype("float32")
    found = asked(memory_of(rows), np.full((1, 3), 50, "float32"))[0].numpy()
    nearest = np.square(50 - rows.astype(np.float64)).sum(axis=1).min()
    np.testing.assert_allclose(found[0, 1], nearest * 256, rtol=1e-5)


def test_it_is_traced_with_and_without_autograph(rng):
    rows = rng.normal(size=(30, 3)).astype("float32")
    memory, x = memory_of(rows), tf.constant(rows[:5])
    same = itself(memory, x)
    expected = memory(x, memory.halves(x), same)[0]
    for autograph in (True, False):
        traced = tf.function(lambda x: memory(x, memory.halves(x), same)[0], autograph=autograph)
        np.testing.assert_allclose(traced(x), expected, rtol=1e-5)
