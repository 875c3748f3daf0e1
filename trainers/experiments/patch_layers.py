"""Layers of filters, each learned by one method on the codes of the layer below."""

import dataclasses
from typing import Any

import numpy as np

from delvm_tf.features import (
    LayeredPatchFeatures,
    PatchFeatures,
    PatchWhitening,
    sample_patches,
)
from delvm_tf.features.pooling import Pooling
from trainers.experiments.patches import PatchRecipe, learn

IMAGES = 4000  # whose maps the patches of an upper layer are drawn from


@dataclasses.dataclass(frozen=True)
class UpperLayers:
    """What the layers above the first are like.

    Attributes:
        filters: of each, from below.
        size: side of a patch of the map.
        components: of such a patch that are kept.
        patches: to learn filters on.
    """

    filters: tuple[int, ...] = ()
    size: int = 3
    components: int = 256
    patches: int = 40_000

    def check(self) -> None:
        """Whether there can be such layers.

        Raises:
            ValueError: for numbers below one.
        """
        for name in ("size", "components", "patches"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} of upper layers must be positive, got {self}")
        if any(filters < 1 for filters in self.filters):
            raise ValueError(f"filters of upper layers must be positive, got {self.filters}")

    def grown(
        self, lowest: PatchFeatures, method: str, recipe: PatchRecipe, images: np.ndarray,
        pooling: Pooling | int, code: tuple[str, float], seed: int,
    ) -> list[PatchFeatures]:  # fmt: skip
        """All layers, the lowest first.

        Args:
            lowest: of the images.
            method: as of `learn`.
            recipe: of the method.
            images: to learn on, (n, height, width, channels).
            pooling: of each layer.
            code: name and threshold of the encoder.
            seed: of all draws.

        Raises:
            ValueError: if an image is too small for so many layers.
            TrainingDiverged: if a model ran away.
        """
        layers = [lowest]
        rng = np.random.default_rng(seed)
        some = images[np.sort(rng.permutation(len(images))[:IMAGES])]
        for k, filters in enumerate(self.filters):
            maps = LayeredPatchFeatures(layers).maps(some)
            raw = sample_patches(maps, self.size, self.patches, seed)
            kept = min(self.components, raw.shape[1])
            whiten = PatchWhitening(raw, OFFSET, recipe.epsilon, kept)
            settings: dict[str, Any] = {"model_settings": {"units": [filters]}}
            learned = learn(
                method, recipe.changed(settings), whiten(raw).numpy(), filters, seed + k
            )
            layers.append(PatchFeatures(self.size, whiten, learned.encoder(*code), pooling))
        return layers


OFFSET = 0.01  # of the variance of the roots of codes in a patch
