import numpy as np
import pytest

from delvm_tf.normalization import Statistics

UNEVEN = (1, 17, 2, 180, 0, 100)


def in_batches(rows, sizes, covariance=False):
    statistics = Statistics(covariance=covariance)
    for batch in np.split(rows, np.cumsum(sizes)[:-1]):
        statistics.update(batch)
    return statistics


@pytest.mark.parametrize("covariance", [False, True])
def test_uneven_batches_merge_to_the_moments_of_all_rows(rng, covariance):
    rows = rng.normal(size=(300, 6)) @ rng.normal(size=(6, 6)) + np.arange(6)
    statistics = in_batches(rows, UNEVEN, covariance)
    assert statistics.count == 300
    np.testing.assert_allclose(statistics.mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(statistics.variance, rows.var(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(statistics.minimum, rows.min(axis=0))
    np.testing.assert_array_equal(statistics.maximum, rows.max(axis=0))


def test_covariance_is_that_of_numpy_divided_by_the_count(rng):
    rows = rng.normal(size=(300, 5)) @ rng.normal(size=(5, 5)) + 3.0
    statistics = in_batches(rows, UNEVEN, covariance=True)
    expected = np.cov(rows, rowvar=False, ddof=0)
    np.testing.assert_allclose(statistics.covariance, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("covariance", [False, True])
def test_variance_survives_a_mean_a_million_times_the_spread(rng, covariance):
    centred = rng.normal(size=(300, 4))
    statistics = in_batches(centred + 1e6, UNEVEN, covariance)
    np.testing.assert_allclose(statistics.variance, centred.var(axis=0), rtol=1e-6)


def test_variance_survives_batches_with_far_apart_means(rng):
    rows = rng.normal(size=(300, 4)) + np.repeat([0.0, 1e3, -1e4], 100)[:, None]
    statistics = in_batches(rows, (100, 100, 100))
    np.testing.assert_allclose(statistics.mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(statistics.variance, rows.var(axis=0), rtol=1e-12)


def test_images_are_flattened_and_integers_do_not_overflow(rng):
    images = rng.integers(0, 256, size=(50, 4, 3, 2), dtype=np.uint8)
    statistics = in_batches(images, (20, 30))
    expected = images.reshape(50, -1).astype(np.float64)
    np.testing.assert_allclose(statistics.mean, expected.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(statistics.variance, expected.var(axis=0), rtol=1e-12)


def test_covariance_must_be_asked_for(rng):
    statistics = in_batches(rng.normal(size=(5, 2)), (5,))
    with pytest.raises(ValueError, match="kept without covariance"):
        _ = statistics.covariance


def test_single_precision_within_double_is_constant_up_to_its_own_rounding(rng):
    value = np.float32(0.3)
    neighbours = np.where(np.arange(60) % 2, value, np.nextafter(value, np.float32(1)))
    whole = 4194304.0 + np.arange(60) % 3  # float32 holds them too, but they are no roundings
    exact = 0.3 + 1e-8 * (np.arange(60) % 2)  # float32 does not tell them apart, float64 does
    rows = np.stack([neighbours, whole, exact, rng.normal(size=60)], axis=1)
    assert in_batches(rows, (20, 40)).constant.tolist() == [True, False, False, False]


def test_what_float32_cannot_tell_from_zero_is_constant(rng):
    rows = np.stack([1e-200 * rng.normal(size=20), 1e-30 * rng.normal(size=20)], axis=1)
    assert in_batches(rows, (20,)).constant.tolist() == [True, False]
