import numpy as np
import pytest

from delvm_tf.features import kmeans, random_filters, random_patches
from delvm_tf.features.dictionaries import check_filters, unit_norms


def test_random_filters_have_norm_one_and_no_direction():
    filters = random_filters(np.zeros((5000, 6)), 5000, seed=0)
    np.testing.assert_allclose(np.linalg.norm(filters, axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(filters @ filters.T / 5000, np.eye(6) / 6, atol=0.02)
    np.testing.assert_allclose(filters.mean(axis=1), 0, atol=0.03)


def test_random_patches_are_different_patches_of_norm_one(rng):
    patches = rng.normal(size=(20, 4))
    filters = random_patches(patches, 20, seed=0)
    normed = patches / np.linalg.norm(patches, axis=1, keepdims=True)
    np.testing.assert_allclose(sorted(map(tuple, filters.T)), sorted(map(tuple, normed)), atol=1e-6)
    assert not np.array_equal(filters, random_patches(patches, 20, seed=1))


def test_centres_of_kmeans_are_the_means_of_what_is_nearest_to_them(rng):
    patches = rng.normal(size=(600, 3)).astype("float32")
    found = kmeans(patches, 5, seed=1, rounds=300)
    nearest = np.linalg.norm(patches[:, :, None] - found, axis=1).argmin(axis=1)
    means = np.stack([patches[nearest == k].mean(axis=0) for k in range(5)], axis=1)
    np.testing.assert_allclose(found, means, atol=0.02)
    assert np.ptp(found, axis=1).min() > 1
    np.testing.assert_array_equal(found, kmeans(patches, 5, seed=1, rounds=300))


def test_null_filters_stay_null():
    np.testing.assert_array_equal(unit_norms([[3.0, 0], [4, 0]]), np.float32([[0.6, 0], [0.8, 0]]))


@pytest.mark.parametrize("make", [kmeans, random_filters, random_patches])
@pytest.mark.parametrize("filters", [0, 11])
def test_the_number_of_filters_must_fit(make, filters):
    with pytest.raises(ValueError, match=f"{filters} filters need patches"):
        make(np.ones((10, 4)), filters, seed=0)


@pytest.mark.parametrize(
    ("filters", "message"),
    [(np.ones(3), r"shape \(d, filters\)"), (np.full((3, 2), np.inf), "training has diverged")],
)
def test_filters_that_are_none_are_refused(filters, message):
    with pytest.raises(ValueError, match=message):
        check_filters(filters)
