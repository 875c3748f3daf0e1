"""Learning to reconstruct, with or without noise."""

import math
from typing import Any

import keras
import tensorflow as tf

from delvm_tf import noise as random
from delvm_tf.curvature.differentiability import require_differentiable
from delvm_tf.curvature.sums import sum_per_example
from delvm_tf.objectives.objective import Objective, ObjectiveValue


@keras.saving.register_keras_serializable(package="delvm_tf")
class Reconstruction(Objective):
    """J = E‖z − x̂(z + noise·ε)‖², ε ~ N(0, I), in normalised units.

    Without noise an autoencoder's objective, with noise a denoising autoencoder's. Any model that
    reconstructs can learn it, an energy too: a DELVM becomes an autoencoder with decoder Jᵀ.

    While training with noise, the reconstruction error that is reported is that of the noisy input,
    the loss itself, because the other one would cost a second pass. In `evaluate` there is no
    noise, and both are ‖z − x̂(z)‖².

    Source: Vincent et al. (2008), Extracting and composing robust features with denoising
    autoencoders. Cost: one reconstruction and its gradient.

    Args:
        noise: standard deviation of the noise, in normalised units.
        seed: seed of the noise.

    Raises:
        ValueError: if the noise is negative or not a finite number.

    Examples:
        >>> network = dv.networks.ffnn((64, 16))
        >>> model = dv.Autoencoder(network, objective=dv.Reconstruction(noise=0.5))
    """

    def __init__(self, noise: float = 0.0, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(noise, int | float) or not 0 <= noise < math.inf:
            raise ValueError(f"noise must be a finite number of at least 0, got {noise!r}")
        self.noise = float(noise)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def check_model(self, model: Any) -> None:
        """Refuse what does not reconstruct.

        Raises:
            TypeError: if the model is no `ReconstructionModel`.
        """
        if not hasattr(model, "normalized_reconstruction"):
            raise TypeError(
                f"Reconstruction needs a model that reconstructs its inputs, and "
                f"{type(model).__name__} does not; derive it from dv.ReconstructionModel"
            )
        if getattr(model, "noise_conditional", False):
            raise TypeError(
                f"Reconstruction learns at one noise level, and {type(model).__name__} has several "
                f"to learn; use objective=dv.NoiseConditionalScoreMatching()"
            )

    def compute(self, model: Any, z: tf.Tensor, training: bool) -> ObjectiveValue:
        """‖z − x̂‖² of each example, with x̂ of the noisy input while training."""
        if training and hasattr(model, "normalized_gradient"):  # which the decoder may be
            spec = tf.TensorSpec((None, *z.shape[1:]), z.dtype)
            require_differentiable(type(self).__name__, model.normalized_reconstruction, [spec])
        seen = z
        if training and self.noise > 0:
            seed = random.next_seed(self.seed_generator)
            seen = z + self.noise * random.normal(tf.shape(z), seed, z.dtype)
        reconstruct = model.training_reconstruction if training else model.normalized_reconstruction
        error = sum_per_example(tf.square(z - reconstruct(seen)))
        return ObjectiveValue(loss=error, terms={}, reconstruction_error=error)

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {**super().get_config(), "noise": self.noise, "seed": self.seed}
