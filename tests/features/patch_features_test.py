import numpy as np
import pytest
import tensorflow as tf

from delvm_tf.features import (
    PatchFeatures,
    PatchWhitening,
    Windows,
    make_encoder,
    sample_patches,
)


@pytest.fixture
def images(rng):
    return rng.integers(256, size=(7, 9, 8, 2), dtype=np.uint8)


@pytest.fixture
def whiten(images):
    return PatchWhitening(sample_patches(images, 3, 500, seed=0))


def parts_of(side, pooling):
    """The places of each part along a side."""
    if isinstance(pooling, int):
        return np.array_split(range(side), pooling)
    size, stride = pooling
    return [range(start, start + size) for start in range(0, side - size + 1, stride)]


def reference(images, size, whiten, encode, pooling):
    """Patch by patch and part by part."""
    result = []
    for image in images:
        rows, columns = (side - size + 1 for side in image.shape[:2])
        places = [(r, c) for r in range(rows) for c in range(columns)]
        patches = [image[r : r + size, c : c + size].reshape(-1) for r, c in places]
        codes = dict(zip(places, encode(whiten(np.array(patches))).numpy(), strict=True))
        parts = [
            sum(codes[r, c].astype(np.float64) for r in part_rows for c in part_columns)
            for part_rows in parts_of(rows, pooling)
            for part_columns in parts_of(columns, pooling)
        ]
        result.append(np.concatenate(parts))
    return np.array(result)


@pytest.mark.parametrize("grid", [1, 2, 3])
@pytest.mark.parametrize("at_once", [1, 3, 7])
def test_it_is_the_sum_of_codes_over_each_part(rng, images, whiten, grid, at_once):
    encode = make_encoder("rectifier", rng.normal(size=(18, 5)), 0.2)
    features = PatchFeatures(3, whiten, encode, grid, images_at_once=at_once)(images)
    assert features.shape == (7, grid * grid * 5)
    np.testing.assert_allclose(
        features, reference(images, 3, whiten, encode, grid), rtol=1e-4, atol=1e-3
    )


@pytest.mark.parametrize(("size", "stride"), [(3, 2), (2, 2), (5, 1), (6, 6)])
def test_windows_may_overlap_and_leave_out_what_does_not_fit(rng, images, whiten, size, stride):
    encode = make_encoder("rectifier", rng.normal(size=(18, 5)), 0.2)
    features = PatchFeatures(3, whiten, encode, Windows(size, stride))(images)
    expected = reference(images, 3, whiten, encode, (size, stride))
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_a_power_keeps_signs(rng, images, whiten, power):
    sums = PatchFeatures(3, whiten, lambda p: p[:, :4], 2)(images).astype("float64")
    assert np.mean(sums < 0) > 0.2
    powers = PatchFeatures(3, whiten, lambda p: p[:, :4], 2, power)(images)
    np.testing.assert_allclose(powers, np.sign(sums) * np.abs(sums) ** power, rtol=1e-4)


def test_a_power_of_nothing_has_a_finite_slope(whiten, images):
    features = PatchFeatures(3, whiten, lambda p: tf.nn.relu(p[:, :2] - 100), power=0.5)
    with tf.GradientTape() as tape:
        x = tf.constant(images, tf.float32)
        tape.watch(x)
        found = features._features(x)
    assert not found.numpy().any()
    assert np.isfinite(tape.gradient(found, x)).all()


def test_mirrored_features_are_those_of_the_image_and_its_mirror_image(rng, images, whiten):
    encode = make_encoder("rectifier", rng.normal(size=(18, 5)), 0.2)
    plain = PatchFeatures(3, whiten, encode)
    mirrored = PatchFeatures(3, whiten, encode, mirrored=True)
    np.testing.assert_allclose(
        mirrored(images), plain(images) + plain(images[:, :, ::-1]), rtol=1e-5, atol=1e-4
    )
    np.testing.assert_allclose(mirrored(images[:, :, ::-1]), mirrored(images), rtol=1e-5, atol=1e-4)


def test_quadrants_of_32_by_32_images_with_patches_of_6():
    """27 places along each side: 14 and 13."""
    images = np.random.default_rng(0).uniform(0, 255, size=(3, 32, 32, 3))
    whiten = PatchWhitening(sample_patches(images, 6, 50, seed=0))
    counts = PatchFeatures(6, whiten, lambda p: tf.ones_like(p[:, :1]))(images)
    np.testing.assert_array_equal(counts, [[14 * 14, 14 * 13, 13 * 14, 13 * 13]] * 3)


def test_an_encoder_may_be_any_function_of_patches(images, whiten):
    features = PatchFeatures(3, whiten, lambda p: tf.square(p[:, :4]), pooling=1)
    expected = reference(images, 3, whiten, lambda p: tf.square(p[:, :4]), 1)
    np.testing.assert_allclose(features(images), expected, rtol=1e-4)


def test_bad_input_is_refused(images, whiten):
    encode = make_encoder("rectifier", np.ones((18, 2)))
    features = PatchFeatures(3, whiten, encode, 4)
    with pytest.raises(ValueError, match="must have shape"):
        features(images[0])
    with pytest.raises(ValueError, match=r"4 × 4 parts.*there are 3 patches"):
        features(images[:, :5])
    with pytest.raises(ValueError, match=r"windows of 7 × 7 places.*there are 6 patches"):
        PatchFeatures(3, whiten, encode, Windows(7, 1))(images)
    for bad in ({"pooling": 0}, {"images_at_once": 0}, {"power": 0.0}):
        with pytest.raises(ValueError, match="must be positive"):
            PatchFeatures(3, whiten, encode, **bad)
    with pytest.raises(ValueError, match="must be positive, got 3 and 0"):
        Windows(3, 0)
