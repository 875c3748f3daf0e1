import numpy as np
import pytest
import tensorflow as tf

from delvm_tf.normalization import normalize_contrast


def test_each_example_has_mean_zero_and_variance_one(rng):
    x = rng.integers(0, 256, (5, 6, 6, 3)).astype("uint8")
    z = normalize_contrast(x)
    assert z.dtype == np.float32
    reference = x.astype(np.float64).reshape(5, -1)
    reference = (reference - reference.mean(1, keepdims=True)) / reference.std(1, keepdims=True)
    np.testing.assert_allclose(z.reshape(5, -1), reference, atol=1e-5)


def test_brightness_and_contrast_make_no_difference(rng):
    x = rng.normal(size=(4, 10))
    np.testing.assert_allclose(
        normalize_contrast(x), normalize_contrast(3 * x + 7), atol=1e-5
    )  # fmt: skip


def test_an_offset_leaves_flat_examples_small(rng):
    x = rng.normal(size=(3, 50))
    z = normalize_contrast(x, offset=3.0)
    variance = x.var(axis=1)
    np.testing.assert_allclose(z.var(axis=1), variance / (variance + 3), rtol=1e-4)
    np.testing.assert_array_equal(normalize_contrast(np.full((1, 4), 9)), np.zeros((1, 4)))


@pytest.mark.parametrize(
    ("x", "offset", "message"),
    [
        (np.zeros(3), 0.0, r"shape \(n, ...\), got shape \(3,\)"),
        (np.zeros((0, 3)), 0.0, "expected examples"),
        (np.zeros((2, 3)), -1.0, "offset must not be negative, got -1.0"),
        (np.zeros((2, 3)), float("nan"), "offset must not be negative"),
    ],
)
def test_bad_input(x, offset, message):
    with pytest.raises(ValueError, match=message):
        normalize_contrast(x, offset)


def test_a_large_offset_and_rounding_do_not_spoil_the_contrast(rng):
    x = rng.normal(size=(5, 8))
    np.testing.assert_allclose(
        normalize_contrast(x + 1.7e9), normalize_contrast(x), rtol=1e-4, atol=1e-4
    )
    almost = np.where(np.arange(8) % 2, 0.3, 0.1 * 3)[None]
    np.testing.assert_array_equal(normalize_contrast(almost), np.zeros((1, 8)))


@pytest.mark.parametrize("offset", [0.0, 10.0])
def test_in_a_graph_it_is_the_same(rng, offset):
    x = rng.integers(0, 256, size=(6, 5, 4, 2)).astype(np.float32)
    x[2], x[3] = 7.3, 0.0
    graph = tf.function(lambda x: normalize_contrast(x, offset))
    expected = normalize_contrast(x, offset)
    np.testing.assert_allclose(graph(tf.constant(x)), expected, rtol=1e-5, atol=1e-6)
