"""Several scores of one model at once, as features for a detector: by layer, and by noise level."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf import keras_private, noise
from delvm_tf.curvature.sums import sum_per_example
from delvm_tf.detection.registry import register
from delvm_tf.models.energy_model import EnergyModel
from delvm_tf.models.latent_energy_model import LatentEnergyModel

CRITERIA = ("energy", "reconstruction_error")


@register("model", "criterion")
class LayerScores:
    """The score of an example under each layer of a deep model, (n, layers).

    Layer k's energy is that of the model cut off after it, ½(z−b)ᵀΛ(z−b) − g(fₖ(z)), over z like
    the whole model's: what training layer by layer minimises at stage k. For a model whose layers
    were trained together only the last is a density of the data. Errors ‖∇E‖² are given as
    logarithms. Cost: one pass per layer.

    Args:
        model: built, with a network that is a chain of layers.
        criterion: `"energy"` or `"reconstruction_error"`.

    Raises:
        TypeError: for a model without latent energy.
        ValueError: for an unknown criterion, or a model that is not built or whose network is no
            chain.

    Examples:
        >>> model = dv.DELVM(dv.networks.ffnn((8, 4)))
        >>> model.adapt(x)
        >>> scores = dv.detection.LayerScores(model)
        >>> scores(x).shape
        TensorShape([64, 2])
        >>> gaussian = dv.detection.PrincipalGaussian(2)
        >>> detector = dv.detection.FeatureDetector(scores, gaussian).fit(x)
    """

    def __init__(self, model: Any, criterion: str = "energy"):
        if not isinstance(model, LatentEnergyModel):
            raise TypeError(
                f"scores by layer need a LatentEnergyModel such as DELVM, got "
                f"{type(model).__name__}"
            )
        if criterion not in CRITERIA:
            raise ValueError(
                f"unknown criterion {criterion!r}; expected one of {', '.join(CRITERIA)}"
            )
        self.model = model
        self.criterion = criterion
        trainable = {layer: layer.trainable for layer in keras_private.all_layers(model)}
        try:
            self.stages = [model.layer_stage(k + 1) for k in range(model.layer_count)]
        finally:
            for layer, flag in trainable.items():
                layer.trainable = flag

    def __call__(self, x: Any) -> tf.Tensor:
        """Scores of x, in raw units, (n, layers) float64; higher is more abnormal."""
        columns = [tf.cast(getattr(stage, self.criterion)(x), tf.float64) for stage in self.stages]
        table = tf.stack(columns, axis=1)
        return table if self.criterion == "energy" else tf.math.log(tf.maximum(table, 1e-300))


@register("model", "levels", "draws", "seed")
class NoiseScores:
    """log ‖∇E(z + σε)‖² at several noise levels σ, averaged over draws of ε, (n, levels).

    How strongly an energy pulls back from each distance tells where it puts an example's
    neighbourhood; a Gaussian fitted to these vectors of normal examples is a detector without
    labels. The same few ε serve all examples, so that an example's score does not depend on those
    around it. Level 0 stands for ‖∇E(z)‖² itself. Source: Mahmood, Oliva and Styner (2021),
    Multiscale score matching for out-of-distribution detection, for the idea. Cost: one gradient
    per level and draw.

    Args:
        model: an `EnergyModel`.
        levels: the σ, in normalised units, none negative.
        draws: of ε.
        seed: of ε.

    Raises:
        TypeError: for a model without energy.
        ValueError: for no levels, negative ones, or fewer than one draw.

    Examples:
        >>> scores = dv.detection.NoiseScores(model, levels=(0.0, 1.0), draws=2)
        >>> scores(x).shape
        TensorShape([64, 2])
        >>> gaussian = dv.detection.PrincipalGaussian(2)
        >>> detector = dv.detection.FeatureDetector(scores, gaussian).fit(x)
    """

    def __init__(
        self, model: Any, levels: Sequence[float] = (0.0, 0.3, 1.0, 3.0), draws: int = 4,
        seed: int = 0,
    ):  # fmt: skip
        if not isinstance(model, EnergyModel):
            raise TypeError(f"scores at noise levels need an energy, got {type(model).__name__}")
        levels = tuple(float(level) for level in levels)
        if not levels or not all(0 <= level < np.inf for level in levels):
            raise ValueError(f"levels must be one or more numbers, none negative, got {levels}")
        if draws < 1:
            raise ValueError(f"draws must be positive, got {draws!r}")
        self.model = model
        self.levels = levels
        self.draws = draws
        self.seed = seed

    def __call__(self, x: Any) -> tf.Tensor:
        """Scores of x, in raw units, (n, levels) float64."""
        name = f"noise scores {self.levels} {self.draws} {self.seed}"
        return tf.cast(self.model.apply(name, self._scores, x), tf.float64)

    def _scores(self, z: tf.Tensor) -> tf.Tensor:
        return tf.stack([self._at_level(z, level) for level in self.levels], axis=1)

    def _at_level(self, z: tf.Tensor, level: float) -> tf.Tensor:
        draws = self.draws if level else 1
        shape = (draws, *z.shape[1:])
        drawn = noise.normal(shape, tf.constant([self.seed, 0], tf.int32), z.dtype)
        logs = [
            tf.math.log(
                sum_per_example(tf.square(self.model.normalized_gradient(z + level * drawn[k])))
                + tf.constant(1e-30, z.dtype)
            )
            for k in range(draws)
        ]
        return tf.add_n(logs) / draws
