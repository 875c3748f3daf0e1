"""Layers of codes against loops over images, places and layers in float64."""

import numpy as np
import pytest
import tensorflow as tf

from delvm_tf.features import (
    LayeredPatchFeatures,
    PatchFeatures,
    PatchWhitening,
    Windows,
    make_encoder,
    sample_patches,
)


@pytest.fixture
def images(rng):
    return rng.integers(256, size=(3, 12, 11, 2), dtype=np.uint8)


@pytest.fixture
def layers(rng, images):
    """Two layers, of 5 and 4 filters; patches of 3 and 2."""
    below = layer(rng, sample_patches(images, 3, 300, 0), 3, 5, 10.0)
    maps = LayeredPatchFeatures([below]).maps(images)
    return [below, layer(rng, sample_patches(maps, 2, 300, 0), 2, 4, 0.01, components=6)]


def layer(rng, patches, size, filters, offset, components=None):
    whiten = PatchWhitening(patches, offset, components=components)
    kernel = rng.normal(size=(components or patches.shape[1], filters))
    return PatchFeatures(size, whiten, make_encoder("rectifier", kernel, 0.1), pooling=2)


def codes_of(images, layer):
    """The codes at each place, (n, rows, columns, codes), patch by patch."""
    size = layer.size
    rows, columns = (side - size + 1 for side in images.shape[1:3])
    return np.array([
        [
            [
                layer.encode(layer.whiten(image[r : r + size, c : c + size].reshape(1, -1)))[0]
                for c in range(columns)
            ]
            for r in range(rows)
        ]
        for image in images
    ], np.float64)  # fmt: skip


def quadrants(codes):
    halves = [part for half in np.array_split(codes, 2, 1) for part in np.array_split(half, 2, 2)]
    return np.concatenate([part.sum((1, 2)) for part in halves], axis=1)


def windows(codes, side):
    """Root of the sums over windows side by side."""
    _n, rows, columns, _ = codes.shape
    return np.sqrt([
        [
            [
                image[r : r + side, c : c + side].sum((0, 1))
                for c in range(0, columns - side + 1, side)
            ]
            for r in range(0, rows - side + 1, side)
        ]
        for image in codes
    ])  # fmt: skip


def reference(images, layers, side):
    below = codes_of(images, layers[0])
    above = codes_of(windows(below, side), layers[1])
    return np.concatenate([quadrants(below), quadrants(above)], axis=1)


@pytest.mark.parametrize("side", [1, 2])
def test_each_layer_encodes_the_codes_below(images, layers, side):
    found = LayeredPatchFeatures(layers, Windows(side, side), images_at_once=2)(images)
    assert found.shape == (3, 4 * 5 + 4 * 4)
    np.testing.assert_allclose(found, reference(images, layers, side), rtol=1e-3, atol=1e-3)
    assert np.mean(found > 0) > 0.5


def test_powers_and_mirror_images_come_last(images, layers):
    plain = LayeredPatchFeatures(layers)
    sums = plain(images) + plain(images[:, :, ::-1])
    found = LayeredPatchFeatures(layers, power=0.5, mirrored=True)(images)
    np.testing.assert_allclose(found, np.sqrt(sums), rtol=1e-3, atol=1e-3)


def test_one_layer_is_the_layer(images, layers):
    np.testing.assert_allclose(
        LayeredPatchFeatures(layers[:1])(images), layers[0](images), rtol=1e-5, atol=1e-4
    )


def test_they_are_part_of_a_graph(images, layers):
    features = LayeredPatchFeatures(layers)
    graph = tf.function(features, input_signature=[tf.TensorSpec((None, 12, 11, 2), tf.uint8)])
    np.testing.assert_allclose(graph(images), features(images), rtol=1e-5, atol=1e-4)


def test_bad_layers_and_images_are_refused(images, layers):
    with pytest.raises(ValueError, match="one or more layers"):
        LayeredPatchFeatures([])
    mirrored = PatchFeatures(3, layers[0].whiten, layers[0].encode, mirrored=True)
    with pytest.raises(ValueError, match="power 1 and not mirrored"):
        LayeredPatchFeatures([mirrored])
    with pytest.raises(ValueError, match=r"must be positive, got 0\.5 and 0"):
        LayeredPatchFeatures(layers, power=0.5, images_at_once=0)
    with pytest.raises(ValueError, match=r"layer 2 has patches of 2 × 2.*only 1 × 4"):
        LayeredPatchFeatures(layers)(images[:, :5])
