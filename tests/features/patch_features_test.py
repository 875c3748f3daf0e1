import numpy as np
import pytest
import tensorflow as tf

from delvm_tf.features import PatchFeatures, PatchWhitening, make_encoder, sample_patches


@pytest.fixture
def images(rng):
    return rng.integers(256, size=(7, 9, 8, 2), dtype=np.uint8)


@pytest.fixture
def whiten(images):
    return PatchWhitening(sample_patches(images, 3, 500, seed=0))


def reference(images, size, whiten, encode, grid):
    """Patch by patch and part by part."""
    result = []
    for image in images:
        rows, columns = (side - size + 1 for side in image.shape[:2])
        places = [(r, c) for r in range(rows) for c in range(columns)]
        patches = [image[r : r + size, c : c + size].reshape(-1) for r, c in places]
        codes = dict(zip(places, encode(whiten(np.array(patches))).numpy(), strict=True))
        parts = [
            sum(codes[r, c].astype(np.float64) for r in part_rows for c in part_columns)
            for part_rows in np.array_split(range(rows), grid)
            for part_columns in np.array_split(range(columns), grid)
        ]
        result.append(np.concatenate(parts))
    return np.array(result)


@pytest.mark.parametrize("grid", [1, 2, 3])
@pytest.mark.parametrize("at_once", [1, 3, 7])
def test_it_is_the_sum_of_codes_over_each_part(rng, images, whiten, grid, at_once):
    encode = make_encoder("rectifier", rng.normal(size=(18, 5)), 0.2)
    features = PatchFeatures(3, whiten, encode, grid, at_once)(images)
    assert features.shape == (7, grid * grid * 5)
    np.testing.assert_allclose(
        features, reference(images, 3, whiten, encode, grid), rtol=1e-4, atol=1e-3
    )


def test_quadrants_of_32_by_32_images_with_patches_of_6():
    """27 places along each side: 14 and 13."""
    images = np.random.default_rng(0).uniform(0, 255, size=(3, 32, 32, 3))
    whiten = PatchWhitening(sample_patches(images, 6, 50, seed=0))
    counts = PatchFeatures(6, whiten, lambda p: tf.ones_like(p[:, :1]))(images)
    np.testing.assert_array_equal(counts, [[14 * 14, 14 * 13, 13 * 14, 13 * 13]] * 3)


def test_an_encoder_may_be_any_function_of_patches(images, whiten):
    features = PatchFeatures(3, whiten, lambda p: tf.square(p[:, :4]), grid=1)
    expected = reference(images, 3, whiten, lambda p: tf.square(p[:, :4]), 1)
    np.testing.assert_allclose(features(images), expected, rtol=1e-4)


def test_bad_input_is_refused(images, whiten):
    encode = make_encoder("rectifier", np.ones((18, 2)))
    features = PatchFeatures(3, whiten, encode, grid=4)
    with pytest.raises(ValueError, match="must have shape"):
        features(images[0])
    with pytest.raises(ValueError, match=r"4 × 4 parts.*3 × 6 patches"):
        features(images[:, :5])
    for bad in ({"grid": 0}, {"images_at_once": 0}):
        with pytest.raises(ValueError, match="must be positive"):
            PatchFeatures(3, whiten, encode, **bad)
