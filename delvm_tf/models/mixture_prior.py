"""A mixture of Gaussians over hidden variables."""

from typing import Any

import keras
import tensorflow as tf

MEANS_SPREAD = 1.0  # standard deviation of the means at the start, in that of a component


@keras.saving.register_keras_serializable(package="delvm_tf")
class MixturePrior(keras.layers.Layer):
    """p(h) = Σₖ πₖ N(h; μₖ, diag(1/ρₖ)) with learned weights, means and precisions.

    Starts with equal weights, unit precisions and random means, which tell the components apart.

    Args:
        latents: hidden variables.
        components: number of Gaussians K.
        **kwargs: `name` and `dtype` of the layer.
    """

    def __init__(self, latents: int, components: int, **kwargs: Any):
        super().__init__(autocast=False, **kwargs)
        self.latents = latents
        self.components = components

    def build(self, input_shape: Any = None) -> None:
        """Create the logits of π, the means and the logarithms of the precisions."""
        dtype = "float64" if self.variable_dtype == "float64" else "float32"

        def weight(name: str, shape: tuple[int, ...], initializer: Any) -> Any:
            return self.add_weight(
                name=name, shape=shape, initializer=initializer, dtype=dtype, autocast=False
            )

        shape = (self.components, self.latents)
        self.logits = weight("logits", shape[:1], "zeros")
        self.mean = weight("mean", shape, keras.initializers.RandomNormal(stddev=MEANS_SPREAD))
        self.log_precision = weight("log_precision", shape, "zeros")
        self.built = True

    def log_weights(self) -> tf.Tensor:
        """The logarithms of the weights π, (components,)."""
        return tf.nn.log_softmax(tf.convert_to_tensor(self.logits))

    def means(self) -> tf.Tensor:
        """The means μ, (components, latents)."""
        return tf.convert_to_tensor(self.mean)

    def precisions(self) -> tf.Tensor:
        """The precisions ρ, (components, latents)."""
        return tf.exp(tf.convert_to_tensor(self.log_precision))

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {
            **super().get_config(),
            "latents": self.latents,
            "components": self.components,
        }
