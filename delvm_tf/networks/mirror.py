"""The decoder that mirrors an encoder, undoing its layers from the last to the first."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from delvm_tf.networks.transposed import (
    Transposed,
    TransposedConvolution,
    TransposedDense,
    Unpooling,
)

L = keras.layers
Shape = tuple[int, ...]

CONVOLUTIONS = (L.Conv1D, L.Conv2D, L.Conv3D)
AFFINE = (L.Dense, *CONVOLUTIONS)
POOLINGS = (
    L.MaxPooling1D, L.MaxPooling2D, L.MaxPooling3D,
    L.AveragePooling1D, L.AveragePooling2D, L.AveragePooling3D,
)  # fmt: skip
GLOBAL_POOLINGS = (
    L.GlobalMaxPooling1D, L.GlobalMaxPooling2D, L.GlobalMaxPooling3D,
    L.GlobalAveragePooling1D, L.GlobalAveragePooling2D, L.GlobalAveragePooling3D,
)  # fmt: skip
PADDINGS = {L.ZeroPadding2D: L.Cropping2D, L.ZeroPadding3D: L.Cropping3D}
CROPPINGS = {cropping: padding for padding, cropping in PADDINGS.items()}
KEEP_SHAPE = (
    L.Activation, L.ReLU, L.LeakyReLU, L.ELU, L.PReLU, L.Softmax, L.Identity,
    L.Dropout, L.SpatialDropout1D, L.SpatialDropout2D, L.SpatialDropout3D,
    L.AlphaDropout, L.GaussianDropout, L.GaussianNoise,
    L.BatchNormalization, L.LayerNormalization, L.GroupNormalization, L.RMSNormalization,
    L.UnitNormalization,
)  # fmt: skip


class Mirrored(NamedTuple):
    """A layer of a decoder, and the place of the encoder's layer that it mirrors."""

    place: int
    layer: Any


def is_affine(layer: Any) -> bool:
    """Whether a layer of an encoder or decoder is an affine map, with or without activation."""
    return type(layer) in AFFINE or isinstance(layer, Transposed)


def layer_shapes(chain: Sequence[Any], input_shape: Shape) -> list[Shape]:
    """The shapes of one input and of one output of each layer; ValueError if one is not fixed."""
    shapes = [tuple(input_shape)]
    for layer in chain:
        shape = tuple(layer.compute_output_shape((None, *shapes[-1]))[1:])
        if None in shape:
            raise _cannot(layer, f"its output has the shape {shape}, which is not fixed")
        shapes.append(shape)
    return shapes


def mirror(chain: Sequence[Any], input_shape: Shape, tied: bool = False) -> list[Mirrored]:
    """The layers that lead from the output of a chain of layers back to the shape of its input.

    Dense layers become dense layers, convolutions transposed convolutions, poolings unpoolings;
    flattening, reshaping, permuting, padding and cropping are undone. Activations, normalisations
    and dropout sit between the same two affine layers as in the encoder, so the decoder begins and
    ends with an affine map. There are biases where the encoder has them; kernels have the
    encoder's initializers and regularisers, with other seeds.

    Args:
        chain: layers, each of which feeds the next.
        input_shape: shape of one input of the first.
        tied: use the encoder's kernels, transposed.

    Returns:
        The decoder's layers in order, not built.

    Raises:
        ValueError: if a layer cannot be mirrored, or none is affine.
    """
    shapes = layer_shapes(chain, input_shape)
    result: list[Mirrored] = []
    between: list[Any] = []  # layers that keep the shape, waiting for the one before them
    for place in reversed(range(len(chain))):
        layer, made = chain[place], _Maker(place, chain[place], len(chain), tied)
        if type(layer) in KEEP_SHAPE:
            between = [Mirrored(place, made.copy()), *between]
        elif type(layer) is not L.ActivityRegularization:
            if is_affine(layer) and layer.activation is not keras.activations.linear:
                between = [Mirrored(place, made.activation()), *between]
            inverse = made.inverse(shapes[place])
            result += [*between, *(Mirrored(place, made_layer) for made_layer in inverse)]
            between = []
    if not any(is_affine(layer) for layer in chain):
        kinds = ", ".join(type(layer).__name__ for layer in chain)
        raise ValueError(
            f"the encoder ({kinds}) has no dense or convolutional layer, so nothing is learned"
        )
    return trim(result)


def trim(mirrored: Sequence[Mirrored]) -> list[Mirrored]:
    """Without the activations, dropout and the like before the first and after the last affine map.

    Applied to the mirror of a chain, limited to the places of its first layers, this gives the
    mirror of those.
    """
    affine = [i for i, each in enumerate(mirrored) if is_affine(each.layer)]
    return [
        each
        for i, each in enumerate(mirrored)
        if type(each.layer) not in KEEP_SHAPE or affine[0] < i < affine[-1]
    ]


class _Maker:
    """Makes the layers that mirror one layer of the encoder."""

    def __init__(self, place: int, layer: Any, seed_offset: int, tied: bool):
        self.layer = layer
        self.seed_offset = seed_offset
        self.tied = tied
        self.name = f"mirror_{place + 1}_{layer.name}"
        self.common = {"name": self.name, "dtype": layer.dtype_policy}

    def copy(self) -> Any:
        """A new layer of the same kind, to be trained."""
        return self._remade(self.layer, name=self.name, trainable=True)

    def activation(self) -> Any:
        """The layer's activation on its own."""
        activation, name = self.layer.activation, f"{self.name}_activation"
        if isinstance(activation, L.Layer):
            return self._remade(activation, name=name)
        return L.Activation(activation, name=name, dtype=self.layer.dtype_policy)

    def inverse(self, before: Shape) -> list[Any]:
        """Layers from the output's shape back to the input's."""
        layer, kind = self.layer, type(self.layer)
        first = getattr(layer, "data_format", None) == "channels_first"
        if kind is L.Dense:
            return [self._dense(before)]
        if kind in CONVOLUTIONS:
            return [self._convolution(before)]
        if kind in POOLINGS:
            return [self._unpooling(before, layer.pool_size, layer.strides, layer.padding)]
        if kind in GLOBAL_POOLINGS:
            return self._global_unpooling(before, first)
        if kind is L.Flatten and first and len(before) > 1:
            back = L.Permute((len(before), *range(1, len(before))), name=f"{self.name}_permute")
            return [L.Reshape((*before[1:], before[0]), **self.common), back]
        if kind in (L.Flatten, L.Reshape):
            return [L.Reshape(before, **self.common)]
        if kind is L.Permute:
            order = sorted(range(len(before)), key=lambda axis: layer.dims[axis])
            return [L.Permute([axis + 1 for axis in order], **self.common)]
        if kind is L.ZeroPadding1D and not first:
            return [L.Cropping1D(layer.padding, **self.common)]
        if kind is L.Cropping1D:
            return [L.ZeroPadding1D(layer.cropping, **self.common)]
        if kind in PADDINGS:
            return [PADDINGS[kind](layer.padding, layer.data_format, **self.common)]
        if kind in CROPPINGS:
            return [CROPPINGS[kind](layer.cropping, layer.data_format, **self.common)]
        raise _cannot(layer, f"there is no rule for {kind.__name__}")

    def _remade(self, thing: Any, **changes: Any) -> Any:
        """A layer or initializer again, with another seed if it has one."""
        config = thing.get_config()
        config |= {name: value for name, value in changes.items() if name in config}
        if isinstance(config.get("seed"), int):
            config["seed"] += self.seed_offset
        return type(thing).from_config(config)

    def _kernel(self) -> dict[str, Any]:
        """Arguments on weights."""
        initializer = self.layer.kernel_initializer
        if isinstance(initializer, keras.initializers.Initializer):
            initializer = self._remade(initializer)
        return {
            "use_bias": self.layer.use_bias,
            "kernel_initializer": initializer,
            "kernel_regularizer": self.layer.kernel_regularizer,
            **self.common,
        }

    def _dense(self, before: Shape) -> Any:
        if self.tied:
            return TransposedDense(before[-1], tied_to=self.layer, **self._kernel())
        return L.Dense(before[-1], **self._kernel())

    def _convolution(self, before: Shape) -> Any:
        names = ("kernel_size", "strides", "padding", "dilation_rate", "groups", "data_format")
        return TransposedConvolution(
            before,
            **{name: getattr(self.layer, name) for name in names},
            tied_to=self.layer if self.tied else None,
            **self._kernel(),
        )

    def _unpooling(self, before: Shape, size: Any, strides: Any, padding: str) -> Any:
        return Unpooling(before, size, strides, padding, self.layer.data_format, **self.common)

    def _global_unpooling(self, before: Shape, first: bool) -> list[Any]:
        size = before[1:] if first else before[:-1]
        ones = (1,) * len(size)
        single = (before[0], *ones) if first else (*ones, before[-1])
        reshape = L.Reshape(single, name=f"{self.name}_reshape")
        return [reshape, self._unpooling(before, size, size, "valid")]


def _cannot(layer: Any, why: str) -> ValueError:
    return ValueError(
        f"layer {layer.name} ({type(layer).__name__}) cannot be mirrored: {why}. Pass "
        f"decoder=..., a Keras model that leads from the code back to the inputs."
    )
