import numpy as np
import pytest
import tensorflow as tf

from delvm_tf.curvature.chunks import chunk_sizes, sum_in_chunks


@pytest.mark.parametrize("batch", [1, 7, 100])
@pytest.mark.parametrize("count", [1, 5, 81])
@pytest.mark.parametrize("budget", [1, 50, 500, 10**6])
def test_chunks_cover_everything_within_the_budget(batch, count, budget):
    bytes_per_probe = 10
    sizes = chunk_sizes(batch, count, bytes_per_probe, budget)
    assert sizes.probes * sizes.probe_chunks >= count
    assert sizes.probes * (sizes.probe_chunks - 1) < count
    assert 1 <= sizes.examples <= batch
    used = sizes.examples * sizes.probes * bytes_per_probe
    assert used <= max(budget, bytes_per_probe)
    assert tuple(map(int, chunk_sizes(tf.constant(batch), count, bytes_per_probe, budget))) == sizes


def test_examples_are_split_before_probes():
    assert chunk_sizes(100, 10, 1, 500) == (50, 10, 10)
    assert chunk_sizes(100, 10, 1, 5) == (1, 5, 10)


WEIGHT = tf.Variable(np.linspace(0.5, 1.5, 4), dtype=tf.float64)


def direct(x, noise, count):
    total = tf.zeros(len(x), x.dtype)
    for c in range(count):
        total += (c + 1) * tf.reduce_sum(tf.tanh(x * WEIGHT) ** 2 * noise[0], axis=1)
    return total


def chunk(size, count):
    def function(x, noise, start):
        index = tf.cast(start + tf.range(size) + 1, x.dtype)
        index = tf.where(index <= count, index, 0.0)
        return tf.reduce_sum(index) * tf.reduce_sum(tf.tanh(x * WEIGHT) ** 2 * noise[0], axis=1)

    return function


MODES = ["eager", "graph", "unknown batch", "xla"]
BUDGETS = [1, 4, 11, 1000]


@pytest.mark.parametrize(
    ("mode", "budget"),
    [
        *((mode, budget) for mode in MODES for budget in BUDGETS if mode != "xla" or budget == 11),
        *(
            pytest.param("xla", budget, marks=pytest.mark.slow)
            for budget in BUDGETS
            if budget != 11
        ),
    ],
)
def test_sums_and_gradients_equal_those_of_all_at_once(mode, budget, rng):
    count, batch = 5, 7
    x, noise = tf.constant(rng.normal(size=(batch, 4))), tf.constant(rng.normal(size=(1, batch, 4)))
    upstream = tf.constant(rng.normal(size=batch))

    def run(x, noise):
        sizes = chunk_sizes(x.shape[0] or tf.shape(x)[0], count, 1, budget)
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = sum_in_chunks(chunk(sizes.probes, count), x, noise, sizes)
            loss = tf.reduce_sum(total * upstream)
        return total, *tape.gradient(loss, [x, WEIGHT])

    if mode == "unknown batch":
        signature = [tf.TensorSpec((None, 4), x.dtype), tf.TensorSpec((1, None, 4), x.dtype)]
        run = tf.function(run, input_signature=signature)
    elif mode != "eager":
        run = tf.function(run, jit_compile=mode == "xla")
    got = run(x, noise)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = direct(x, noise, count)
        loss = tf.reduce_sum(total * upstream)
    for value, expected in zip(got, [total, *tape.gradient(loss, [x, WEIGHT])], strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_only_one_chunk_is_in_memory_at_a_time():
    """The graph keeps nothing of a chunk but its sum, so its loops carry no stacks of tensors."""

    @tf.function
    def gradient(x, noise):
        with tf.GradientTape() as tape:
            total = sum_in_chunks(chunk(1, 5), x, noise, chunk_sizes(7, 5, 1, 1))
        return tape.gradient(total, WEIGHT)

    graph = gradient.get_concrete_function(
        tf.TensorSpec((7, 4), tf.float64), tf.TensorSpec((1, 7, 4), tf.float64)
    ).graph
    loops = [op for op in graph.get_operations() if op.type in ("While", "StatelessWhile")]
    assert len(loops) == 2
    for loop in loops:
        assert all(t.dtype != tf.variant for t in loop.outputs)
