"""Features of several layers, each of which encodes patches of the codes of the layer below."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.features.extraction import check_images
from delvm_tf.features.patch_features import PatchFeatures, power_of, sums_over
from delvm_tf.features.pooling import Pooling, Windows


class LayeredPatchFeatures:
    """The features of each layer side by side, where the images of a layer are maps of codes.

    The map above a layer holds square roots of its codes, summed over windows. Each layer's
    features are the sums over its own parts of the image. They are raised to a power, and summed
    over the image and its mirror image before, here and not layer by layer: a layer's filters do
    not mirror those below.

    Cost: that of each layer on its map, twice that if mirrored.

    Args:
        layers: from the images upwards, with power 1 and not mirrored.
        between: windows from each layer to the next.
        power: as of `PatchFeatures`.
        mirrored: as of `PatchFeatures`.
        images_at_once: images computed at a time.

    Raises:
        ValueError: for no layer, layers with powers or mirrors of their own, or a power or number
            of images that is not positive.

    Source: Coates and Ng (2011), Selecting receptive fields in deep networks, for layers of
    dictionaries.

    Examples:
        >>> def layer_of(images):
        ...     patches = dv.features.sample_patches(images, 3, 500, seed=0)
        ...     whiten = dv.features.PatchWhitening(patches)
        ...     filters = dv.features.random_filters(whiten(patches).numpy(), 10, seed=0)
        ...     encode = dv.features.make_encoder("rectifier", filters)
        ...     return dv.features.PatchFeatures(3, whiten, encode, pooling=1)
        >>> first = layer_of(images)
        >>> second = layer_of(dv.features.LayeredPatchFeatures([first]).maps(images))
        >>> dv.features.LayeredPatchFeatures([first, second])(images).shape
        (16, 20)
    """

    def __init__(
        self,
        layers: Sequence[PatchFeatures],
        between: Pooling | None = None,
        power: float = 1.0,
        mirrored: bool = False,
        images_at_once: int = 4,
    ):
        if not layers or any(layer.mirrored or layer.power != 1 for layer in layers):
            raise ValueError(
                "there must be one or more layers, with power 1 and not mirrored: give power and "
                "mirrored to all of them together"
            )
        if not power > 0 or images_at_once < 1:
            raise ValueError(
                f"power and images_at_once must be positive, got {power!r} and {images_at_once!r}"
            )
        self.layers = list(layers)
        self.between = Windows(2, 2) if between is None else between
        self.power = float(power)
        self.mirrored = mirrored
        self.images_at_once = images_at_once

    def __call__(self, images: Any) -> np.ndarray | tf.Tensor:
        """Features, (n, Σ parts·codes) float32, of images (n, height, width, channels).

        Raises:
            ValueError: for images of another shape, or too small for a layer.
        """
        symbolic = tf.is_tensor(images) and not tf.executing_eagerly()
        images = images if symbolic else np.asarray(images)
        self.check(images.shape)
        if symbolic:
            return self._features(images)
        return _in_chunks(self._compiled, images, self.images_at_once)

    def maps(self, images: Any) -> np.ndarray:
        """What a further layer would see, (n, rows, columns, codes) float32."""
        images = np.asarray(images)
        self.check(images.shape, above=True)
        return _in_chunks(self._compiled_maps, images, self.images_at_once)

    def check(self, shape: Sequence[int | None], above: bool = False) -> None:
        """Whether there is room for all layers in images of this shape.

        Args:
            shape: (n, height, width, channels).
            above: whether there must be a map for one more.

        Raises:
            ValueError: saying what does not fit.
        """
        check_images(shape, self.layers[0].size)
        sides = [int(side or 0) for side in shape[1:3]]
        for k, layer in enumerate(self.layers):
            if layer.size > min(sides):
                raise ValueError(
                    f"layer {k + 1} has patches of {layer.size} × {layer.size}, and its map is "
                    f"only {sides[0]} × {sides[1]}"
                )
            sides = [side - layer.size + 1 for side in sides]
            for side in sides:
                layer.pooling.check(side)
            if above or k + 1 < len(self.layers):
                for side in sides:
                    self.between.check(side)
                sides = [len(self.between.along(side)) for side in sides]

    def _features(self, images: tf.Tensor) -> tf.Tensor:
        sums = self._sums(images)
        if self.mirrored:
            sums += self._sums(tf.reverse(images, [2]))
        return sums if self.power == 1 else power_of(sums, self.power)

    def _sums(self, images: tf.Tensor) -> tf.Tensor:
        found = []
        for k, layer in enumerate(self.layers):
            codes = layer.codes(images)
            sums = sums_over(layer.pooling, codes)
            found.append(tf.reshape(sums, (tf.shape(images)[0], -1)))
            if k + 1 < len(self.layers):
                images = power_of(sums_over(self.between, codes), 0.5)
        return tf.concat(found, axis=1)

    def _maps(self, images: tf.Tensor) -> tf.Tensor:
        for layer in self.layers:
            images = power_of(sums_over(self.between, layer.codes(images)), 0.5)
        return images

    # Of the class, for a graph can be neither copied nor pickled.
    _compiled = tf.function(_features, autograph=False, reduce_retracing=True)
    _compiled_maps = tf.function(_maps, autograph=False, reduce_retracing=True)


def _in_chunks(function: Any, images: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([
        function(tf.constant(images[start : start + size])).numpy()
        for start in range(0, len(images), size)
    ])  # fmt: skip
