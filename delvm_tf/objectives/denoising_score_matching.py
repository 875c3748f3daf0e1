"""Denoising score matching, at one noise level or several."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.curvature.differentiability import require_differentiable
from delvm_tf.curvature.sums import sum_per_example
from delvm_tf.objectives.noise_levels import leave_one_out_loss, noise_ladder, require_pairs
from delvm_tf.objectives.objective import Objective, ObjectiveValue
from delvm_tf.samplers.sampler import positive


@keras.saving.register_keras_serializable(package="delvm_tf")
class DenoisingScoreMatching(Objective):
    """J = E[ ½‖σ∇E(x + σε) − ε‖² ] with ε ~ N(0, I): the gradient of E points at the noise.

    This is σ²·½‖∇E(x̃) − (x̃ − x)/σ²‖² at x̃ = x + σε: the weight σ² keeps the loss near d/2 for
    every σ. The minimiser is E = −log of the data's density convolved with N(0, σ²I), not of the
    data's own; as σ → 0, (J − d/2)/σ² tends to `ScoreMatching`. No second derivative is needed.

    **Several levels** share one energy, which does not know σ. At level σ, σ₀²∇E(x̃) is to be
    x̃ − x, weighted by 1/σ², with σ₀ the reference level:

        J = E[ ½‖(σ₀²/σ)∇E(x + σε) − ε‖² ]

    which for σ = σ₀ is the formula above. Its minimiser over all vector fields is
    σ₀²∇E(x̃) = −∇log q(x̃) / E[1/σ² | x̃], with q the data's density convolved at a random level. In
    high dimensions x̃ shows its own σ, and then −∇E(x̃) = (σ/σ₀)²∇log q_σ(x̃): at the distance of
    σ₀'s noise from the data exp(−E) is q_σ₀, and at that of σ's it is q_σ to the power (σ/σ₀)², so
    that q_σ is exp(−E) at the temperature (σ/σ₀)². `AnnealedLangevin` runs through these. Each
    example draws one level of the ladder, all as likely: the expectation of the mean over all
    levels, at the cost of one.

    **Learned levels.** The denoising loss cannot choose σ, since every σ is another target. With
    `learned=True` log σ (the smallest level of a ladder, whose largest stays) becomes a variable
    that maximises the leave-one-out likelihood of each batch under its own Parzen window
    N(z_j, σ²I), the density that denoising at σ fits for these examples; no gradient of it reaches
    the network, nor of the denoising loss σ. A window over more examples would be narrower, so σ
    depends on the batch size and is not small in high dimensions.

    Source: Vincent (2011), A connection between score matching and denoising autoencoders, eq. 11;
    Li, Chen and Sommer (2019), Learning energy-based models in high-dimensional spaces with
    multi-scale denoising score matching, eq. 7. Cost: ∇E and its gradient in the weights.

    While training, the reconstruction error that is reported is that of the noisy input,
    ‖∇E(x + σε)‖², because the other one would cost one more ∇E; at a small σ it is much larger. In
    `evaluate`, which draws noise for the loss too, it is that of x, ‖∇E(x)‖².

    Args:
        sigma: the level σ, in normalised units; or several, from the largest to the smallest; or
            the largest of a geometric ladder of `levels` down to `smallest`.
        smallest: the smallest level of the ladder.
        levels: how many levels the ladder has.
        reference: σ₀; the smallest level unless given.
        learned: whether σ (the smallest level) is learned.
        seed: seed of the noise.

    Raises:
        TypeError: if sigma is neither a number nor a sequence of numbers, or `learned` not a bool.
        ValueError: if a level is not positive, they do not decrease, a ladder is given in part, the
            reference lies outside of the levels, or is given though levels are learned; in
            training, if levels are learned and a batch holds one example.

    Examples:
        >>> objective = dv.DenoisingScoreMatching(sigma=3.0, smallest=0.3, levels=10)
        >>> model = dv.DELVM(dv.networks.cnn((32, 32)), objective=objective)
    """

    def __init__(
        self,
        sigma: float | Sequence[float] = 0.3,
        smallest: float | None = None,
        levels: int | None = None,
        reference: float | None = None,
        learned: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        ladder = noise_ladder(sigma, smallest, levels)
        if not isinstance(learned, bool):
            raise TypeError(f"learned must be True or False, got {learned!r}")
        if reference is not None:
            reference = positive("reference", reference)
            if learned:
                raise ValueError(
                    f"with learned=True the smallest level is the reference; leave out "
                    f"reference={reference!r}"
                )
            if not ladder[-1] <= reference <= ladder[0]:
                raise ValueError(
                    f"reference must lie between the smallest and the largest level, {ladder[-1]} "
                    f"and {ladder[0]}, got {reference!r}"
                )
        self.ladder = ladder
        self.reference = reference
        self.learned = learned
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.term_names = ("denoising", "parzen", "sigma") if learned else ("denoising",)
        if learned:
            self.log_sigma = self.add_weight(
                name="log_sigma",
                shape=(),
                dtype="float32",
                initializer=keras.initializers.Constant(math.log(ladder[-1])),
                autocast=False,
            )

    def compute(self, model: Any, z: tf.Tensor, training: bool) -> ObjectiveValue:
        """½‖(σ₀²/σ)∇E(x + σε) − ε‖² of each example, and for learned levels Parzen's loss."""
        if training:
            spec = tf.TensorSpec((None, *z.shape[1:]), z.dtype)
            require_differentiable(type(self).__name__, model.normalized_gradient, [spec])
        levels = self.noise_levels(z.dtype)
        seed = noise.next_seed(self.seed_generator)
        sigma = levels[0]
        if len(self.ladder) > 1:
            u = noise.uniform(tf.shape(z)[:1], noise.fold(seed, 0), tf.float32)
            index = tf.cast(u * len(self.ladder), tf.int32)
            sigma = tf.gather(levels, tf.minimum(index, len(self.ladder) - 1))
        drawn = tf.ensure_shape(noise.normal(tf.shape(z), noise.fold(seed, 1), z.dtype), z.shape)
        sigma = _per_example(sigma, z)
        noisy = z + sigma * drawn
        gradient = model.normalized_gradient(noisy)
        denoising = denoising_loss(gradient, drawn, sigma, self._reference(levels))
        seen = gradient if training else model.normalized_gradient(z)
        loss, terms = denoising, {"denoising": denoising}
        if self.learned:
            log_sigma = tf.cast(tf.convert_to_tensor(self.log_sigma), z.dtype)
            parzen = leave_one_out_loss(require_pairs(z) if training else z, log_sigma)
            loss += parzen
            terms.update(parzen=parzen, sigma=tf.fill(tf.shape(z)[:1], levels[-1]))
        return ObjectiveValue(
            loss=loss,
            terms=terms,
            reconstruction_error=sum_per_example(tf.square(tf.stop_gradient(seen))),
            watched=(denoising, 0.5 * sum_per_example(tf.square(drawn))),
        )

    def noise_levels(self, dtype: Any = tf.float32) -> tf.Tensor:
        """The present levels from the largest to the smallest, (levels,), without gradient."""
        if not self.learned:
            return tf.constant(self.ladder, dtype)
        log_smallest = tf.cast(tf.stop_gradient(tf.convert_to_tensor(self.log_sigma)), dtype)
        if len(self.ladder) == 1:
            return tf.exp(log_smallest)[tf.newaxis]
        logs = [math.log(level) for level in self.ladder]
        positions = tf.constant([(a - logs[0]) / (logs[-1] - logs[0]) for a in logs], dtype)
        span = tf.minimum(log_smallest - tf.constant(logs[0], dtype), 0)
        return tf.exp(logs[0] + positions * span)

    def annealing_levels(self, dtype: Any = tf.float32) -> tf.Tensor:
        """The levels that lead down to the reference level, (levels,), for `AnnealedLangevin`."""
        if self.reference is None:
            return self.noise_levels(dtype)
        above = [level for level in self.ladder if level > self.reference]
        return tf.constant([*above, self.reference], dtype)

    def _reference(self, levels: tf.Tensor) -> tf.Tensor:
        return levels[-1] if self.reference is None else tf.constant(self.reference, levels.dtype)

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {
            **super().get_config(),
            "sigma": self.ladder,
            "reference": self.reference,
            "learned": self.learned,
            "seed": self.seed,
        }


def denoising_loss(
    gradient: tf.Tensor, drawn: tf.Tensor, sigma: tf.Tensor, reference: tf.Tensor
) -> tf.Tensor:
    """½‖(σ₀²/σ)∇E − ε‖², (batch,).

    Args:
        gradient: ∇E at the noisy inputs x + σε, (batch, ...).
        drawn: the noise ε, of the same shape.
        sigma: the level σ, a scalar or (batch, 1, ...).
        reference: the level σ₀, a scalar.
    """
    return 0.5 * sum_per_example(tf.square(tf.square(reference) / sigma * gradient - drawn))


def _per_example(sigma: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """A level of each example, (batch,), so that it multiplies z; a scalar as it is."""
    return tf.reshape(sigma, (-1,) + (1,) * (z.shape.rank - 1)) if sigma.shape.rank else sigma
