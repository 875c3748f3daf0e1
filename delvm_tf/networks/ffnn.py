"""Feed-forward networks."""

from collections.abc import Sequence
from typing import Any

import keras

from delvm_tf.networks.arguments import input_layers, layer_arguments, positive_ints


@keras.saving.register_keras_serializable(package="delvm_tf")
class FeedForward(keras.Sequential):
    """Dense layers of all values of an input, which is flattened first if it has several axes.

    Otherwise Keras would apply the dense layers to each pixel separately.
    """

    def build(self, input_shape: Any = None) -> None:
        """Create the weights, with a first layer that flattens if inputs have several axes."""
        layers = self.layers
        if (
            not self.built
            and isinstance(input_shape, tuple | list)
            and len(input_shape) > 2
            and layers
            and not isinstance(layers[0], keras.layers.Flatten)
        ):
            for _ in layers:
                self.pop(rebuild=False)
            self.add(keras.layers.Flatten(dtype=layers[0].dtype_policy, name="flatten"))
            for layer in layers:
                self.add(layer)
        super().build(input_shape)


def ffnn(
    units: int | Sequence[int] = (256,),
    activation: Any = "relu",
    use_bias: bool = True,
    bias_constraint: Any = None,
    kernel_initializer: Any = "glorot_uniform",
    seed: int | None = None,
    input_shape: tuple[int, ...] | None = None,
    output_activation: Any = None,
    **kwargs: Any,
) -> keras.Sequential:
    """A feed-forward network of dense layers; inputs of several axes are flattened first.

    Args:
        units: units of each layer.
        activation: a Keras activation of every layer; smooth ones (`"softplus"`, `"silu"`,
            `"gelu"`) keep score matching free of ignored kinks.
        use_bias: whether the layers have biases.
        bias_constraint: a Keras constraint or `"non_positive"`.
        kernel_initializer: a Keras initializer's name or instance.
        seed: makes the initial weights reproducible.
        input_shape: shape of one input; otherwise taken from the first data.
        output_activation: activation of the last layer, such as `"linear"`; by default that of
            the others.
        **kwargs: passed to every `keras.layers.Dense`, such as `kernel_regularizer` or `dtype`.

    Returns:
        An unbuilt (or, with `input_shape`, built) `keras.Sequential`, (batch, ...) to (batch, m).

    Examples:
        >>> network = dv.networks.ffnn(units=(2048,), activation="softplus")
        >>> network(x).shape
        TensorShape([64, 2048])
    """
    n_units = positive_ints("units", units)
    arguments = layer_arguments(
        "dense", len(n_units), activation, kernel_initializer, seed, output_activation,
        bias_constraint, use_bias=use_bias, **kwargs,
    )  # fmt: skip
    layers = input_layers(input_shape, kwargs.get("dtype"))
    layers += [keras.layers.Dense(n, **own) for n, own in zip(n_units, arguments, strict=True)]
    return FeedForward(layers, name="ffnn")
