"""The restricted Boltzmann machine of binary inputs."""

from typing import Any

import keras
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.curvature.sums import sum_per_example
from delvm_tf.models.boltzmann.rbm import BlockGibbs
from delvm_tf.models.energy_model import EnergyModel
from delvm_tf.networks.arguments import layer_kernel_initializer, positive_ints
from delvm_tf.normalization import InputNormalization
from delvm_tf.objectives.contrastive_divergence import ContrastiveDivergence
from delvm_tf.objectives.objective import Objective
from delvm_tf.samplers import Gibbs

NORMALIZATIONS = ("none", "minmax")


@keras.saving.register_keras_serializable(package="delvm_tf")
class BernoulliRBM(BlockGibbs, EnergyModel):
    """E(v, h) = −bᵀv − hᵀ(Wᵀv + c) with v and h binary; the upper layers of a `DBN`.

    Free energy E(v) = −bᵀv − Σₖ softplus(wₖᵀv + cₖ). Inputs are zeros and ones, or probabilities
    between them. They have no score: the reconstruction is the mean-field pass
    v̂ = σ(b + Wσ(Wᵀv + c)), and only contrastive divergence with Gibbs chains trains the model.

    Source: Smolensky (1986); Hinton (2002).

    Args:
        units: hidden units.
        objective: a `ContrastiveDivergence`; `ContrastiveDivergence()` by default.
        normalization: `"none"`, or `"minmax"` for binary inputs in other units, such as 0 and 255.
        kernel_initializer: a Keras initializer's name or instance.
        seed: makes the initial weights reproducible.
        hidden_layer: a `keras.layers.Dense` whose W and c the model shares, instead of new ones.
        **kwargs: `name` and `dtype` of the `keras.Model`.

    Raises:
        ValueError: for units that are no positive integer, or another normalization.
        TypeError: for an objective that needs a score.

    Examples:
        >>> bits = (x > 0).astype("float32")
        >>> model = dv.BernoulliRBM(units=16, seed=0)
        >>> model.compile(keras.optimizers.Adam(1e-3))
        >>> history = model.fit(bits, epochs=10)
        >>> np.unique(model.sample(100, "gibbs", steps=50))
        array([0., 1.], dtype=float32)
    """

    continuous = False

    def __init__(
        self,
        units: int = 256,
        objective: Objective | None = None,
        normalization: str | InputNormalization | None = "none",
        kernel_initializer: Any = "glorot_uniform",
        seed: int | None = None,
        hidden_layer: keras.layers.Dense | None = None,
        **kwargs: Any,
    ):
        (units,) = positive_ints("units", [units if hidden_layer is None else hidden_layer.units])
        mode = getattr(normalization, "mode", normalization) or "none"
        if mode not in NORMALIZATIONS or getattr(normalization, "scale", 1.0) != 1.0:
            raise ValueError(
                f"a BernoulliRBM takes zeros and ones: normalization must be 'none' or 'minmax' "
                f"with scale 1, got {normalization!r}; use GaussianRBM for real inputs"
            )
        objective = ContrastiveDivergence() if objective is None else objective
        super().__init__(objective, normalization=normalization, **kwargs)
        if hidden_layer is None:
            hidden_layer = keras.layers.Dense(
                units,
                kernel_initializer=layer_kernel_initializer(kernel_initializer, seed, 0),
                dtype=self.dtype_policy,
                name="hidden_layer",
            )
        self.hidden_layer = hidden_layer
        self.units = units
        self.kernel_initializer = kernel_initializer
        self.seed = seed

    def build_parameters(self, input_shape: tuple[int | None, ...]) -> None:
        """Create W, b and c."""
        size = 1
        for length in input_shape[1:]:
            size *= length or 0
        if not self.hidden_layer.built:
            self.hidden_layer.build((None, size))
        self.visible_bias = self.add_weight(
            name="visible_bias", shape=(size,), dtype=self.normalization.result_dtype,
            initializer="zeros", autocast=False,
        )  # fmt: skip

    @property
    def kernel(self) -> tf.Tensor:
        """W, (inputs, units)."""
        return tf.cast(self.hidden_layer.kernel, self.normalization.result_dtype)

    @property
    def hidden_bias(self) -> tf.Tensor:
        """The bias c, (units,)."""
        return tf.cast(self.hidden_layer.bias, self.normalization.result_dtype)

    def hidden_logits(self, v: tf.Tensor) -> tf.Tensor:
        """Wᵀv + c, the log odds of the hidden units, (batch, units)."""
        return tf.matmul(_flat(v), self.kernel) + self.hidden_bias

    def visible_logits(self, h: tf.Tensor) -> tf.Tensor:
        """Wh + b, the log odds of the visible units, (batch, inputs)."""
        return tf.matmul(h, self.kernel, transpose_b=True) + self.visible_bias

    def sample_hidden(self, v: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """A draw of h given v, (batch, units)."""
        return noise.bernoulli(tf.sigmoid(self.hidden_logits(v)), seed)

    def visible_mean(self, h: tf.Tensor) -> tf.Tensor:
        """σ(Wh + b), (batch, ...)."""
        return tf.reshape(
            tf.sigmoid(self.visible_logits(h)), (-1, *(self.input_shape_or_none or ()))
        )

    def sample_visible(self, h: tf.Tensor, seed: tf.Tensor, visible_noise: float) -> tf.Tensor:
        """A draw of v given h, (batch, ...); the mean if `visible_noise` is 0."""
        mean = self.visible_mean(h)
        return noise.bernoulli(mean, seed) if visible_noise else mean

    def normalized_energy(self, z: tf.Tensor) -> tf.Tensor:
        """−bᵀv − Σₖ softplus(wₖᵀv + cₖ), (batch,)."""
        linear = tf.linalg.matvec(_flat(z), tf.convert_to_tensor(self.visible_bias))
        return -linear - sum_per_example(tf.nn.softplus(self.hidden_logits(z)))

    def normalized_gradient(self, z: tf.Tensor) -> tf.Tensor:
        """Binary inputs have none.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            f"{type(self).__name__} is a model of binary inputs, which have no score; sample with "
            f"sampler='gibbs'"
        )

    def normalized_reconstruction(self, z: tf.Tensor) -> tf.Tensor:
        """σ(b + Wσ(Wᵀv + c)), shape of z."""
        return self.visible_mean(self.normalized_hidden(z))

    def normalized_hidden(self, z: tf.Tensor) -> tf.Tensor:
        """σ(Wᵀv + c), (batch, units)."""
        return tf.sigmoid(self.hidden_logits(z))

    def gibbs_start(self, z: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """The inputs, which may be probabilities, held between 0 and 1."""
        return tf.clip_by_value(z, 0.0, 1.0)

    def gibbs_step(self, state: tf.Tensor, seed: tf.Tensor, visible_noise: float) -> tf.Tensor:
        """Draw h given v, then v given h, binary; its probabilities if `visible_noise` is 0."""
        h = self.sample_hidden(state, noise.fold(seed, 0))
        return self.sample_visible(h, noise.fold(seed, 1), visible_noise)

    def check_objective(self, objective: Any) -> None:
        """Refuse objectives that need a score, and chains that move along a gradient."""
        super().check_objective(objective)
        require_gibbs(objective, type(self).__name__)

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {
            **super().get_config(),
            "units": self.units,
            "kernel_initializer": keras.saving.serialize_keras_object(self.kernel_initializer),
            "seed": self.seed,
        }


def _flat(v: tf.Tensor) -> tf.Tensor:
    return tf.reshape(v, (tf.shape(v)[0], -1)) if v.shape.rank != 2 else v


def require_gibbs(objective: Any, model: str) -> None:
    """Refuse contrastive divergence whose chains move along a gradient.

    Raises:
        TypeError: the message says why.
    """
    sampler = getattr(objective, "sampler", None)
    if sampler is not None and not isinstance(sampler, Gibbs):
        raise TypeError(
            f"{model} has binary layers, whose chains can only be Gibbs sampled, got "
            f"{type(sampler).__name__}; leave the sampler of ContrastiveDivergence out"
        )
