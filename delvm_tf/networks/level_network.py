"""Networks f(x, log σ) that take the noise level beside the input."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from delvm_tf.networks.arguments import layer_arguments, one_for_each, positive_ints

LOG_RANGE = 10.0  # |log σ| up to which levels are told apart


def level_waves(log_sigma: tf.Tensor, waves: int) -> tf.Tensor:
    """cos(jπ log σ / 10) and sin(jπ log σ / 10) for j = 1 … waves, (batch, 2 waves)."""
    number = tf.range(1, waves + 1, dtype=log_sigma.dtype)
    angles = log_sigma * (number * (math.pi / LOG_RANGE))
    return tf.concat([tf.cos(angles), tf.sin(angles)], axis=-1)


@keras.saving.register_keras_serializable(package="delvm_tf")
class LevelNetwork(keras.Model):
    """A chain of layers f(x, log σ), whose linear ones the noise level scales and shifts.

    Layer k has a = (1 + γₖ(log σ)) ⊙ (Wₖh) + βₖ(log σ) before its activation, with γ and β affine
    in `waves` cosines and sines of log σ. All but the kernels W starts at 0, and so as one network
    for all levels. At a fixed σ it is a plain network of x, with kernels (1 + γ)W and biases β. γ
    and β are computed in float32 or wider, whatever the layers compute in.

    Source: Perez et al. (2018), FiLM, for scale and shift. Cost: that of the layers, and a product
    of 2 · waves · Σ 2 · units.

    Args:
        layers: the chain, Keras layers of which those with `units` or `filters` are linear, without
            activation or bias.
        activations: that of each linear layer, in order.
        waves: how many wave lengths of log σ there are; with more of them neighbouring levels may
            differ more.
        **kwargs: `name` and `dtype` of the `keras.Model`.

    Inputs: [x, log σ], (batch, ...) and (batch, 1).

    Raises:
        ValueError: if there are not as many activations as linear layers, or no wave.

    Examples:
        >>> layers = [keras.layers.Dense(4, use_bias=False), keras.layers.Dense(2, use_bias=False)]
        >>> network = dv.networks.LevelNetwork(layers, ["relu", "linear"])
        >>> network([x, np.zeros((64, 1))]).shape  # at σ = 1
        TensorShape([64, 2])
    """

    takes_level = True  # beside x

    def __init__(
        self,
        layers: Sequence[keras.layers.Layer],
        activations: Sequence[Any],
        waves: int = 8,
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)
        self.chain = list(layers)
        self.waves = positive_ints("waves", waves)[0]
        linear = [layer for layer in self.chain if _width(layer)]
        if len(linear) != len(activations):
            raise ValueError(
                f"a LevelNetwork needs an activation for each linear layer, got "
                f"{len(activations)} for {len(linear)}"
            )
        self.activations = [keras.activations.get(activation) for activation in activations]
        self.widths = [_width(layer) for layer in linear]

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs of shapes [(batch, ...), (batch, 1)]."""
        shape = tuple(input_shape[0])
        for layer in self.chain:
            if not layer.built:
                layer.build(shape)
            shape = tuple(layer.compute_output_shape(shape))
        total = sum(self.widths)
        dtype = "float64" if self.variable_dtype == "float64" else "float32"

        def no_change(shape: Any, dtype: Any = None) -> tf.Tensor:
            return tf.concat([tf.ones(total, dtype), tf.zeros(total, dtype)], axis=0)

        self.modulation = self.add_weight(
            name="modulation", shape=(2 * self.waves, 2 * total), initializer="zeros", dtype=dtype,
            autocast=False,
        )  # fmt: skip
        self.usual = self.add_weight(
            name="usual", shape=(2 * total,), initializer=no_change, dtype=dtype, autocast=False
        )
        self.built = True

    def call(self, inputs: Any) -> tf.Tensor:
        """f(x, log σ)."""
        return self.maps(inputs)[-1]

    def maps(self, inputs: Any) -> list[tf.Tensor]:
        """The outputs of all linear layers after their activations; the last is f."""
        h, log_sigma = inputs
        gains, shifts = self._gains_and_shifts(log_sigma)
        results: list[tf.Tensor] = []
        for layer in self.chain:
            h = layer(h)
            if _width(layer):
                k = len(results)
                h = self.activations[k](h * _beside(gains[k], h) + _beside(shifts[k], h))
                results.append(h)
        return results if results and h is results[-1] else [*results, h]

    def _gains_and_shifts(self, log_sigma: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """1 + γ and β of each linear layer, (batch, units)."""
        waves = level_waves(tf.cast(log_sigma, self.usual.dtype), self.waves)
        all_of_them = tf.nn.bias_add(
            tf.matmul(waves, tf.convert_to_tensor(self.modulation)),
            tf.convert_to_tensor(self.usual),
        )
        parts = tf.split(tf.cast(all_of_them, self.compute_dtype), 2 * self.widths, axis=-1)
        return parts[: len(self.widths)], parts[len(self.widths) :]

    def at_level(self, sigma: float, input_shape: tuple[int, ...]) -> keras.Model:
        """The plain network f(·, log σ) of x, with the scales and shifts as they are now.

        Its kernels are shared. Not within a graph, where scales and shifts have no value.

        Args:
            sigma: σ.
            input_shape: shape of one input.
        """
        gains, shifts = self._gains_and_shifts(tf.constant([[math.log(sigma)]], tf.float64))
        x = h = keras.Input(input_shape, dtype=self.compute_dtype)
        k = 0
        for layer in self.chain:
            if type(layer) is _Series:
                layer = keras.layers.Reshape((*input_shape, 1)[:2], dtype=self.dtype_policy)
            h = layer(h)
            if _width(layer):
                gain, shift = gains[k][0].numpy(), shifts[k][0].numpy()
                h = keras.layers.Rescaling(gain, shift, dtype=self.dtype_policy)(h)
                h = keras.layers.Activation(self.activations[k], dtype=self.dtype_policy)(h)
                k += 1
        return keras.Model(x, h, name="at_level")

    def compute_output_shape(self, input_shape: Any) -> Any:
        """That of f."""
        shape = tuple(input_shape[0])
        for layer in self.chain:
            shape = tuple(layer.compute_output_shape(shape))
        return shape

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
            "layers": [keras.saving.serialize_keras_object(layer) for layer in self.chain],
            "activations": [keras.activations.serialize(each) for each in self.activations],
            "waves": self.waves,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "LevelNetwork":
        """Make the network again from its configuration."""

        def made(value: Any) -> Any:
            return keras.saving.deserialize_keras_object(value, custom_objects=custom_objects)

        return cls(
            **{
                **config,
                "dtype": made(config["dtype"]),
                "layers": [made(layer) for layer in config["layers"]],
            }
        )


def level_ffnn(
    units: int | Sequence[int] = (256, 256, 128),
    activation: Any = "relu",
    kernel_initializer: Any = "glorot_uniform",
    seed: int | None = None,
    output_activation: Any = None,
    waves: int = 8,
    **kwargs: Any,
) -> LevelNetwork:
    """Dense layers of all values of an input, scaled and shifted by the noise level.

    Args:
        units: units of each layer.
        activation: a Keras activation of every layer.
        kernel_initializer: a Keras initializer's name or instance.
        seed: makes the initial weights reproducible.
        output_activation: activation of the last layer; by default that of the others.
        waves: see `LevelNetwork`.
        **kwargs: passed to every `keras.layers.Dense`, such as `dtype`.

    Returns:
        An unbuilt `LevelNetwork`, (batch, ...) and (batch, 1) to (batch, m).

    Examples:
        >>> network = dv.networks.level_ffnn((256, 256, 128))
        >>> network([x, np.zeros((64, 1))]).shape  # at σ = 1
        TensorShape([64, 128])
        >>> model = dv.NoiseConditionalDELVM(network)
    """
    n_units = positive_ints("units", units)
    layers, activations = _linear(
        keras.layers.Dense, "dense", [(n,) for n in n_units], activation, kernel_initializer, seed,
        output_activation, **kwargs,
    )  # fmt: skip
    flatten = keras.layers.Flatten(dtype=kwargs.get("dtype"), name="flatten")
    return LevelNetwork(
        [flatten, *layers], activations, waves, dtype=kwargs.get("dtype"), name="level_ffnn"
    )


def level_cnn(
    filters: int | Sequence[int] = (32, 64),
    kernel_size: int | Sequence[int] = 3,
    strides: int | Sequence[int] = 1,
    units: int | Sequence[int] = (),
    rank: int = 2,
    padding: str = "same",
    activation: Any = "relu",
    kernel_initializer: Any = "glorot_uniform",
    seed: int | None = None,
    output_activation: Any = None,
    waves: int = 8,
    **kwargs: Any,
) -> LevelNetwork:
    """Convolutions, and dense layers behind them if wanted, scaled and shifted by the noise level.

    Args:
        filters: filters of each convolution.
        kernel_size: side of the filters, one for all convolutions or one each.
        strides: strides, one for all convolutions or one each.
        units: units of each dense layer behind them, which see all positions.
        rank: 2 for images (height, width, channels); 1 for series, (length, channels) or (length,).
        padding: `"same"` or `"valid"`.
        activation: a Keras activation of every layer.
        kernel_initializer: a Keras initializer's name or instance.
        seed: makes the initial weights reproducible.
        output_activation: activation of the last layer; by default that of the others.
        waves: see `LevelNetwork`.
        **kwargs: passed to every layer, such as `dtype`.

    Returns:
        An unbuilt `LevelNetwork`, (batch, ...) and (batch, 1) to (batch, positions..., filters) or
        (batch, m).

    Raises:
        ValueError: for another rank, or numbers that are not positive.

    Examples:
        >>> network = dv.networks.level_cnn((32, 32), 7, rank=1)  # of a series of one channel
        >>> network([x, np.zeros((64, 1))]).shape
        TensorShape([64, 6, 32])
    """
    if rank not in (1, 2):
        raise ValueError(f"rank must be 1 for series or 2 for images, got {rank!r}")
    n_filters = positive_ints("filters", filters)
    n_units = positive_ints("units", units) if units else ()
    sizes = one_for_each("kernel_size", kernel_size, len(n_filters), "layers")
    steps = one_for_each("strides", strides, len(n_filters), "layers")
    last = None if n_units else output_activation
    layers, activations = _linear(
        keras.layers.Conv1D if rank == 1 else keras.layers.Conv2D, "conv",
        list(zip(n_filters, sizes, steps, strict=True)), activation, kernel_initializer, seed,
        last, padding=padding, **kwargs,
    )  # fmt: skip
    dtype = kwargs.get("dtype")
    if rank == 1:
        layers.insert(0, _Series(dtype=dtype, name="series"))
    if n_units:
        dense, more = _linear(
            keras.layers.Dense, "dense", [(n,) for n in n_units], activation, kernel_initializer,
            seed, output_activation, first=len(n_filters), **kwargs,
        )  # fmt: skip
        layers += [keras.layers.Flatten(dtype=dtype, name="flatten"), *dense]
        activations += more
    return LevelNetwork(layers, activations, waves, dtype=dtype, name="level_cnn")


def _linear(
    kind: Any, prefix: str, sizes: Sequence[tuple[int, ...]], activation: Any, *common: Any,
    **kwargs: Any,
) -> tuple[list[Any], list[Any]]:  # fmt: skip
    """Linear layers without bias, of given positional arguments, and their activations."""
    arguments = layer_arguments(prefix, len(sizes), activation, *common, **kwargs)
    layers, activations = [], []
    for size, own in zip(sizes, arguments, strict=True):
        activations.append(own.pop("activation"))
        layers.append(kind(*size, use_bias=False, **own))
    return layers, activations


@keras.saving.register_keras_serializable(package="delvm_tf")
class _Series(keras.layers.Layer):
    """Series of one value a step, (batch, length), with an axis of one channel; others as are."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """X with three axes."""
        return x[..., tf.newaxis] if len(x.shape) == 2 else x

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, length, channels)."""
        return (*input_shape, 1) if len(input_shape) == 2 else tuple(input_shape)


def _beside(values: tf.Tensor, h: tf.Tensor) -> tf.Tensor:
    """(batch, units), so that it multiplies h, (batch, ..., units)."""
    between = (1,) * (h.shape.rank - 2)
    return tf.reshape(values, (-1, *between, values.shape[-1])) if between else values


def _width(layer: Any) -> int:
    """Units or filters of a linear layer; 0 of any other."""
    return getattr(layer, "units", 0) or getattr(layer, "filters", 0)
