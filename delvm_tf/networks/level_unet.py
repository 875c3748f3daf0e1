"""U-shaped convolutional networks f(x, log σ) of images, for the density of them."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from delvm_tf.networks.arguments import layer_kernel_initializer, one_for_each, positive_ints
from delvm_tf.networks.level_network import level_waves


@keras.saving.register_keras_serializable(package="delvm_tf")
class LevelUNet(keras.Model):
    """Convolutions down to ever coarser images and up again, told of the noise level at each.

    On the way down each resolution has residual blocks h + W₂ φ((1 + γ) ⊙ W₁h + β), W₁ and W₂
    convolutions of 3×3, and ends in a convolution that halves the side; on the way up the side is
    doubled again, what the same resolution had on the way down is added, and blocks follow. γ and β
    of each block are affine in φ of an affine map of cosines and sines of log σ. W₂, γ and β
    start at 0, so that an untrained network is linear in x.

    Large structure is seen at coarse, fine structure at fine resolution. There is no normalisation
    of layers, which costs more here than it gains, because the energy's gradient is trained.

    Sources: Ronneberger et al. (2015), U-Net; Perez et al. (2018), FiLM. Cost: 36 c² multiply-adds
    a block and pixel, with c channels; a block at half the side and twice the channels costs the
    same.

    Args:
        channels: of each resolution, from the finest to the coarsest.
        blocks: residual blocks of each resolution, on each way; of the coarsest once. One number
            for all, or one each.
        activation: φ, a Keras activation; a smooth one, for the energy is differentiated twice.
        units: hidden units of the map from log σ.
        waves: cosines and sines of log σ; see `LevelNetwork`.
        kernel_initializer: of W₁ and of the convolutions between resolutions.
        seed: makes the initial weights reproducible.
        **kwargs: `name` and `dtype` of the `keras.Model`.

    Inputs: [x, log σ], (batch, height, width, channels) and (batch, 1). Output: (batch, height,
    width, channels[0]), as `dv.DensityDELVM` takes it.

    Raises:
        ValueError: if numbers are not positive, or, when it is built, if inputs are no images or
            have too small a side.

    Examples:
        >>> network = dv.networks.LevelUNet((8, 16), units=16)
        >>> network([images, np.zeros((16, 1))]).shape  # at σ = 1
        TensorShape([16, 8, 8, 8])
        >>> model = dv.DensityDELVM(network)
    """

    takes_level = True  # beside x

    def __init__(
        self,
        channels: Sequence[int] = (32, 64, 128),
        blocks: int | Sequence[int] = 1,
        activation: Any = "silu",
        units: int = 128,
        waves: int = 8,
        kernel_initializer: Any = "he_normal",
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)
        self.channels = positive_ints("channels", channels)
        self.blocks = one_for_each("blocks", blocks, len(self.channels), "resolutions")
        self.activation = keras.activations.get(activation)
        self.units = positive_ints("units", units)[0]
        self.waves = positive_ints("waves", waves)[0]
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.seed = seed
        self._made = 0  # layers with kernels drawn so far
        self._make()

    def _make(self) -> None:
        """The layers, finest resolution first."""
        wide = "float64" if self.variable_dtype == "float64" else "float32"
        self.level = keras.layers.Dense(self.units, self.activation, dtype=wide, name="level")
        finest, *coarser = self.channels
        convolution, doubled = keras.layers.Conv2D, keras.layers.Conv2DTranspose
        self.stem = self._layer(convolution, finest, 3)
        self.down = [self._some_blocks(k) for k in range(len(self.channels))]
        self.halvings = [self._layer(convolution, c, 2, strides=2) for c in coarser]
        self.up = [self._some_blocks(k) for k in range(len(coarser))]
        self.doublings = [self._layer(doubled, c, 2, strides=2) for c in self.channels[:-1]]

    def _layer(self, kind: Any, filters: int, size: int, **kwargs: Any) -> Any:
        self._made += 1
        return kind(
            filters, size, padding="same", dtype=self.dtype_policy,
            kernel_initializer=layer_kernel_initializer(
                self.kernel_initializer, self.seed, self._made
            ), **kwargs,
        )  # fmt: skip

    def _some_blocks(self, resolution: int) -> list["LevelBlock"]:
        c = self.channels[resolution]
        return [LevelBlock(self._layer, c, self.activation) for _ in range(self.blocks[resolution])]

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs of shapes [(batch, height, width, channels), (batch, 1)].

        Raises:
            ValueError: for anything but images, or too small ones.
        """
        shape = tuple(input_shape[0])
        if len(shape) != 4:
            raise ValueError(
                f"a {type(self).__name__} takes images (height, width, channels), got inputs of "
                f"shape {shape[1:]}"
            )
        if None not in shape[1:3] and min(shape[1:3]) < 2 ** len(self.halvings):
            raise ValueError(
                f"{len(self.channels)} resolutions halve the side {len(self.halvings)} times, too "
                f"often for images of {shape[1]}×{shape[2]}; give fewer channels"
            )
        self.level.build((None, 2 * self.waves))
        self.stem.build(shape)
        sides = [self.stem.compute_output_shape(shape)]
        for halving in self.halvings:
            halving.build(sides[-1])
            sides.append(halving.compute_output_shape(sides[-1]))
        for at, below, doubling in zip(sides, sides[1:], self.doublings, strict=False):
            doubling.build((*at[:-1], below[-1]))
        for at, blocks in [*zip(sides, self.down, strict=True), *zip(sides, self.up, strict=False)]:
            for block in blocks:
                block.build(at, self.units)
        self.built = True

    def call(self, inputs: Any) -> tf.Tensor:
        """f(x, log σ)."""
        return self.maps(inputs)[-1]

    def maps(self, inputs: Any) -> list[tf.Tensor]:
        """What each resolution has after its blocks, on the way down and up; the last is f."""
        x, log_sigma = inputs
        level = self.level(level_waves(tf.cast(log_sigma, self.level.compute_dtype), self.waves))
        level = tf.cast(level, self.compute_dtype)
        h = _through(self.down[0], self.stem(x), level)
        found = [h]
        for halving, blocks in zip(self.halvings, self.down[1:], strict=True):
            h = _through(blocks, halving(h), level)
            found.append(h)
        for k in reversed(range(len(self.up))):
            aside = found[k]
            h = aside + self.doublings[k](h)[:, : tf.shape(aside)[1], : tf.shape(aside)[2]]
            h = _through(self.up[k], h, level)
            found.append(h)
        return found

    def compute_output_shape(self, input_shape: Any) -> Any:
        """That of f."""
        return (*tuple(input_shape[0])[:-1], self.channels[0])

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
            "channels": self.channels,
            "blocks": self.blocks,
            "activation": keras.activations.serialize(self.activation),
            "units": self.units,
            "waves": self.waves,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "seed": self.seed,
        }


class LevelBlock(keras.layers.Layer):
    """A residual block h + W₂ φ((1 + γ) ⊙ W₁h + β), (batch, height, width, channels)."""

    def __init__(self, layer: Any, channels: int, activation: Any):
        first = layer(keras.layers.Conv2D, channels, 3, use_bias=False)
        super().__init__(dtype=first.dtype_policy, autocast=False)
        self.activation = activation
        self.first = first
        self.second = keras.layers.Conv2D(
            channels, 3, padding="same", kernel_initializer="zeros", dtype=self.dtype_policy
        )
        self.film = keras.layers.Dense(
            2 * channels, kernel_initializer="zeros", dtype=self.dtype_policy
        )

    def build(self, shape: Any, units: int) -> None:
        """Create the weights."""
        self.first.build(shape)
        self.second.build(shape)
        self.film.build((None, units))
        self.built = True

    def call(self, h: tf.Tensor, level: tf.Tensor) -> tf.Tensor:
        """The block's output, shape of h."""
        gain, shift = tf.split(self.film(level)[:, tf.newaxis, tf.newaxis], 2, axis=-1)
        return h + self.second(self.activation(self.first(h) * (1 + gain) + shift))


def _through(blocks: Sequence[LevelBlock], h: tf.Tensor, level: tf.Tensor) -> tf.Tensor:
    for block in blocks:
        h = block(h, level)
    return h
