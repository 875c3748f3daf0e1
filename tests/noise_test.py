"""Random numbers: their distribution, their repetition, and their independence of replicas."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from delvm_tf import noise

N = 100_000
SEED = tf.constant([3, 5])


def test_normal_numbers_have_the_moments_of_a_standard_normal():
    z = noise.normal((N,), SEED, tf.float64).numpy()
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(np.mean(z**power) - moment) < 5 * np.sqrt(variance / N), power


def test_uniform_numbers_fill_the_unit_interval():
    u = noise.uniform((N,), SEED, tf.float64).numpy()
    assert u.min() >= 0
    assert u.max() < 1
    shares = np.histogram(u, bins=10, range=(0, 1))[0] / N
    assert np.abs(shares - 0.1).max() < 5 * np.sqrt(0.09 / N)


def test_bernoulli_numbers_have_their_probabilities():
    p = tf.constant([0.0, 0.1, 0.5, 0.9, 1.0], tf.float64)
    draws = noise.bernoulli(tf.tile(p[tf.newaxis], (N, 1)), SEED)
    assert draws.dtype == tf.float64
    assert set(np.unique(draws)) == {0.0, 1.0}
    assert np.all(np.abs(draws.numpy().mean(axis=0) - p) <= 5 * np.sqrt(p * (1 - p) / N))
    pair = np.corrcoef(draws[:, 1], draws[:, 2])[0, 1]
    assert abs(pair) < 5 / np.sqrt(N)


def test_signs_are_fair_and_independent():
    s = noise.signs((N, 2), SEED).numpy()
    assert set(np.unique(s)) == {-1.0, 1.0}
    assert np.abs(s.mean(axis=0)).max() < 5 / np.sqrt(N)
    assert abs(np.mean(s[:, 0] * s[:, 1])) < 5 / np.sqrt(N)
    assert abs(np.mean(s[1:, 0] * s[:-1, 0])) < 5 / np.sqrt(N)


DRAWS = {
    "normal": lambda seed, dtype: noise.normal((4, 3), seed, dtype),
    "uniform": lambda seed, dtype: noise.uniform((4, 3), seed, dtype),
    "signs": lambda seed, dtype: noise.signs((4, 3), seed, dtype),
    "bernoulli": lambda seed, dtype: noise.bernoulli(tf.fill((4, 3), tf.cast(0.5, dtype)), seed),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", DRAWS)
def test_a_seed_gives_the_same_numbers_always_and_another_seed_others(name, dtype):
    draw = DRAWS[name]
    first = draw(SEED, dtype)
    assert first.dtype == dtype
    assert first.shape == (4, 3)
    np.testing.assert_array_equal(draw(SEED, dtype), first)
    np.testing.assert_array_equal(tf.function(lambda: draw(SEED, dtype))(), first)
    assert not np.array_equal(draw(SEED + 1, dtype), first)


def test_shapes_may_be_tensors_of_unknown_batch():
    @tf.function(input_signature=[tf.TensorSpec((None, 3))])
    def like(x):
        return noise.normal(tf.shape(x), SEED)

    np.testing.assert_array_equal(like(tf.zeros((4, 3))), noise.normal((4, 3), SEED))


def test_a_generator_never_gives_a_seed_twice():
    generator = keras.random.SeedGenerator(7)
    seeds = [tuple(noise.next_seed(generator).numpy()) for _ in range(20)]
    assert len(set(seeds)) == 20
    again = keras.random.SeedGenerator(7)
    assert tuple(noise.next_seed(again).numpy()) == seeds[0]
    assert noise.next_seed(again).dtype == tf.int32


def test_folded_seeds_differ_from_each_other_and_give_independent_numbers():
    seeds = [tuple(noise.fold(SEED, i).numpy()) for i in range(50)]
    assert len({*seeds, tuple(SEED.numpy())}) == 51
    assert tuple(noise.fold(SEED, tf.constant(3, tf.int64)).numpy()) == seeds[3]
    one, other = (noise.normal((N,), noise.fold(SEED, i)).numpy() for i in (0, 1))
    assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(N)


ON_TWO_DEVICES = """
import sys
import numpy as np
import tensorflow as tf
cpus = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2)
from delvm_tf import noise

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
seed = tf.constant([3, 5])

def draw():
    return {
        "normal": noise.normal((3, 2), seed),
        "uniform": noise.uniform((tf.constant(3), 2), seed),
        "signs": noise.signs((3, 2), seed),
        "bernoulli": noise.bernoulli(tf.fill((3, 2), 0.3), seed),
        "second axis": noise.normal((4, 3, 2), seed, batch_axis=1),
        "second axis signs": noise.signs((4, 3, 2), seed, batch_axis=1),
    }

@tf.function
def on_all():
    return strategy.run(draw)

parts = {name: strategy.experimental_local_results(v) for name, v in on_all().items()}
joined = {name: np.concatenate(v, axis=int("second" in name)) for name, v in parts.items()}
np.savez(sys.argv[1], **joined)
"""


@pytest.mark.slow
def test_two_replicas_draw_the_numbers_of_the_global_batch_between_them(tmp_path):
    path = tmp_path / "joined.npz"
    subprocess.run([sys.executable, "-c", ON_TWO_DEVICES, str(path)], check=True)
    joined = np.load(path)
    expected = {
        "normal": noise.normal((6, 2), SEED),
        "uniform": noise.uniform((6, 2), SEED),
        "signs": noise.signs((6, 2), SEED),
        "bernoulli": noise.bernoulli(tf.fill((6, 2), 0.3), SEED),
        "second axis": noise.normal((4, 6, 2), SEED, batch_axis=1),
        "second axis signs": noise.signs((4, 6, 2), SEED, batch_axis=1),
    }
    assert set(joined.files) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(joined[name], value, err_msg=name)


@pytest.mark.parametrize("draw", [noise.normal, noise.uniform, noise.signs])
def test_rows_with_seeds_of_their_own_draw_the_same_in_any_batch(draw):
    def drawn(rows, seed=SEED):
        seeds = noise.RowSeeds(seed, tf.constant(rows), repeats=2)
        return draw((2 * len(rows), 3), noise.fold(seeds, 4)).numpy().reshape(len(rows), 2, 3)

    together = drawn([5, 0, 9])
    np.testing.assert_array_equal(drawn([9, 5]), together[[2, 0]])
    assert not np.array_equal(drawn([5, 0, 9], tf.constant([3, 6])), together)
    if draw is not noise.signs:
        assert len(np.unique(together)) == 18


def test_numbers_of_rows_with_seeds_of_their_own_are_independent():
    seeds = noise.RowSeeds(SEED, tf.range(2000))
    z = noise.normal((2000, 3), noise.fold(seeds, 1), tf.float64).numpy()
    other = noise.normal((2000, 3), noise.fold(seeds, 2), tf.float64).numpy()
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (4, 3, 96)):
        assert abs(np.mean(z**power) - moment) < 5 * np.sqrt(variance / 6000), power
    pairs = np.corrcoef(np.concatenate([z.T, other.T, np.roll(z, 1, axis=0).T]))
    assert np.abs(pairs - np.eye(9)).max() < 5 / np.sqrt(2000)
