import numpy as np
import pytest

from delvm_tf.features import sample_patches


def places(height, width):
    """Images whose values say where they are: 10⁴·image + 100·row + column."""
    grid = 100.0 * np.arange(height)[:, None] + np.arange(width)
    return (1e4 * np.arange(3)[:, None, None] + grid)[..., None]


def test_patches_are_squares_of_one_image_from_all_places_equally_often():
    patches = sample_patches(places(5, 4), 3, 6000, seed=0).reshape(-1, 3, 3)
    corners = patches[:, 0, 0]
    square = 100.0 * np.arange(3)[:, None] + np.arange(3)
    np.testing.assert_array_equal(patches - corners[:, None, None], np.tile(square, (6000, 1, 1)))
    values, counts = np.unique(corners, return_counts=True)
    expected = [1e4 * i + 100 * r + c for i in range(3) for r in range(3) for c in range(2)]
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_allclose(counts, 6000 / 18, atol=5 * np.sqrt(6000 / 18))


def test_channels_of_a_pixel_stay_together_and_the_seed_decides(rng):
    images = rng.integers(256, size=(2, 4, 4, 3), dtype=np.uint8)
    patches = sample_patches(images, 4, 10, seed=1)
    assert patches.dtype == np.float32
    whole = {tuple(image.reshape(-1)) for image in images}
    assert {tuple(patch) for patch in patches} == whole
    np.testing.assert_array_equal(patches, sample_patches(images, 4, 10, seed=1))
    assert not np.array_equal(patches, sample_patches(images, 4, 10, seed=2))


@pytest.mark.parametrize(
    ("shape", "size", "count", "message"),
    [
        ((5, 4), 2, 3, r"images must have shape \(n, height, width, channels\).*\(5, 4\)"),
        ((0, 4, 4, 1), 2, 3, "be at least one"),
        ((2, 5, 4, 1), 5, 3, "between 1 and the sides of the images, 5 and 4, got 5"),
        ((2, 5, 4, 1), 0, 3, "got 0"),
        ((2, 5, 4, 1), 2, 0, "number of patches must be positive, got 0"),
    ],
)
def test_what_does_not_fit_is_refused(shape, size, count, message):
    with pytest.raises(ValueError, match=message):
        sample_patches(np.zeros(shape), size, count, seed=0)
