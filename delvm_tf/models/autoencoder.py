"""Autoencoders, with a decoder that mirrors the encoder."""

from typing import Any

import keras
import tensorflow as tf

from delvm_tf.curvature.graph import layer_chain
from delvm_tf.models.feature_maps import feature_function
from delvm_tf.models.network import build_network, check_network
from delvm_tf.models.reconstruction_model import ReconstructionModel
from delvm_tf.networks.mirror import Mirrored, is_affine, layer_shapes, mirror, trim
from delvm_tf.normalization import InputNormalization
from delvm_tf.objectives.objective import Objective
from delvm_tf.objectives.reconstruction import Reconstruction


@keras.saving.register_keras_serializable(package="delvm_tf")
class Autoencoder(ReconstructionModel):
    """x̂ = dec(f(x)): an encoder f and a decoder that mirrors it, layer by layer.

    The hidden variables are the code f(x). The decoder undoes the encoder's layers from the last to
    the first (see `delvm_tf.networks.mirror`), restores every shape exactly and ends with an affine
    map. There is no density, so neither `energy` nor `score`. Cost: one pass through both.

    Args:
        network: the encoder f, any Keras Sequential or functional model, built or not; one whose
            layers form a chain, unless a decoder is given.
        decoder: a Keras model from the code to the normalised inputs, instead of the mirror.
        tied: whether the mirror uses the encoder's kernels, transposed; its biases are its own.
        objective: how it is learned; `Reconstruction()` by default.
        normalization: see `ReconstructionModel`.
        scale: see `ReconstructionModel`.
        output_activation: activation of the mirror's last layer, such as `"sigmoid"` with
            `normalization="minmax"`; None for a linear one.
        **kwargs: `name` and `dtype` of the `keras.Model`.

    Raises:
        TypeError: if the network or decoder is not a Keras model or layer, or the objective learns
            an energy.
        ValueError: if a decoder is given and tied or output_activation too; when the model is
            built, if the encoder cannot be mirrored or the shapes do not fit.

    Examples:
        >>> network = dv.networks.ffnn((64, 16))
        >>> model = dv.Autoencoder(network, normalization="zscore")
        >>> model.adapt(x); model.compile("adam")
        >>> history = model.fit(x, epochs=10)
        >>> model.hidden(x).shape, model.reconstruction_error(x).shape
        (TensorShape([64, 16]), TensorShape([64]))
    """

    def __init__(
        self,
        network: Any,
        decoder: Any = None,
        tied: bool = False,
        objective: Objective | None = None,
        normalization: str | InputNormalization | None = "center",
        scale: float = 1.0,
        output_activation: Any = None,
        **kwargs: Any,
    ):
        check_network(network)
        activation = keras.activations.get(output_activation)
        if decoder is not None:
            check_network(decoder, "decoder")
            if tied or activation is not keras.activations.linear:
                raise ValueError(
                    "tied and output_activation are for the decoder that mirrors the encoder; "
                    "a decoder that is given has its own kernels and activations"
                )
        objective = Reconstruction() if objective is None else objective
        super().__init__(objective, normalization=normalization, scale=scale, **kwargs)
        self.network = network
        self.decoder = decoder
        self.tied = bool(tied)
        self.output_activation = activation
        self._mirrors = decoder is None
        self._places: tuple[int, ...] = ()  # of the layers that the decoder's mirror

    def build_parameters(self, input_shape: tuple[int | None, ...]) -> None:
        """Build the encoder, and the decoder for its code."""
        build_network(self.network, input_shape)
        shape = self.input_shape_or_none or ()
        if not self._mirrors:
            code = tuple(self.network.compute_output_shape((None, *shape)))
            build_network(self.decoder, code, "the decoder", "the encoder's code has")
            made = tuple(self.decoder.compute_output_shape(code)[1:])
            if made != shape:
                raise ValueError(
                    f"the decoder makes outputs of shape {made}, but the data have shape {shape}"
                )
        elif self.decoder is None:  # that of a layer stage is there already
            chain = self._chain()
            self._set_decoder(chain, shape, mirror(chain, shape, self.tied))

    def _set_decoder(
        self, chain: list[Any], input_shape: tuple[Any, ...], mirrored: list[Mirrored]
    ) -> None:
        code = layer_shapes(chain, input_shape)[-1]
        layers = [keras.Input(code, dtype=chain[-1].compute_dtype)]
        layers += [each.layer for each in mirrored]
        if self.output_activation is not keras.activations.linear:
            dtype = mirrored[-1].layer.dtype_policy
            layers.append(keras.layers.Activation(self.output_activation, dtype=dtype))
        self.decoder = keras.Sequential(layers, name="decoder")
        self._places = tuple(each.place for each in mirrored)

    def _chain(self) -> list[Any]:
        chain = layer_chain(self.network)
        if chain is None:
            raise ValueError(
                f"the encoder {self.network.name} branches, or is written as a subclass, and "
                f"cannot be mirrored. Pass decoder=..., a Keras model that leads from the code "
                f"back to the inputs."
            )
        return chain

    def normalized_reconstruction(self, z: tf.Tensor) -> tf.Tensor:
        """dec(f(z)), shape of z."""
        return self._pass(z, training=False)

    def training_reconstruction(self, z: tf.Tensor) -> tf.Tensor:
        """dec(f(z)) with dropout and batch statistics at work, shape of z."""
        return self._pass(z, training=True)

    def _pass(self, z: tf.Tensor, training: bool) -> tf.Tensor:
        code = self.network(z, training=training)
        return tf.cast(self.decoder(code, training=training), z.dtype)

    def normalized_hidden(self, z: tf.Tensor) -> tf.Tensor:
        """The code f(z), shape of f."""
        return tf.cast(self.network(z, training=False), z.dtype)

    def normalized_features(self, z: tf.Tensor) -> list[tf.Tensor]:
        """The output of each nonlinear layer of the encoder, and its code."""
        return feature_function(self.network)(z)

    # Layer-wise training.

    @property
    def layer_count(self) -> int:
        """Number of dense and convolutional layers of the encoder."""
        return len(self._affine_places())

    def _affine_places(self) -> list[int]:
        if not self.built:
            raise ValueError(
                f"{self.name} is not built, so its layers are not known yet; call model.adapt(x) "
                f"or model.build((None, *shape)) first"
            )
        return [place for place, layer in enumerate(self._chain()) if is_affine(layer)]

    def layer_stage(self, depth: int) -> "Autoencoder":
        """The autoencoder of the first `depth` layers, which are shared with this model.

        It has those layers with the activations, poolings and the like that follow them, the layers
        of the decoder that mirror them, and the normalisation and objective of this model. The
        layers of both sides below `depth` are frozen: `trainable = False`, in this model too, until
        it is set back layer by layer, as `fit_layerwise` does at the end.

        Args:
            depth: from 1 to `layer_count`.

        Raises:
            ValueError: if the model is not built, its decoder is no mirror, or the depth is wrong.
        """
        if not self._mirrors:
            raise ValueError(
                "layer stages need the decoder that mirrors the encoder, not decoder=..."
            )
        starts = self._affine_places()
        if not isinstance(depth, int) or not 1 <= depth <= len(starts):
            raise ValueError(f"depth must be a number from 1 to {len(starts)}, got {depth!r}")
        end = [*starts, None][depth]
        chain = self._chain()[:end]
        pairs = zip(self._places, self.decoder.layers, strict=False)
        mirrored = [Mirrored(place, layer) for place, layer in pairs if place < len(chain)]
        stage = Autoencoder(
            self._network_of(chain),
            tied=self.tied,
            objective=self.objective,
            normalization=self.normalization,
            output_activation=self.output_activation,
            name=f"{self.name}_stage_{depth}",
            dtype=self.dtype_policy,
        )
        shape = self.input_shape_or_none or ()
        stage._set_decoder(chain, shape, trim(mirrored))
        stage.build((None, *shape))
        below = starts[depth - 1] if depth > 1 else 0
        for layer in [*chain[:below], *(m.layer for m in mirrored if m.place < below)]:
            layer.trainable = False
        return stage

    def _network_of(self, chain: list[Any]) -> keras.Model:
        inputs = keras.Input(self.input_shape_or_none, dtype=chain[0].compute_dtype)
        outputs = inputs
        for layer in chain:
            outputs = layer(outputs)
        return keras.Model(inputs, outputs, name="encoder")

    # Saving.

    def get_build_config(self) -> dict[str, Any] | None:
        """The input's shape, and which layers of the mirror are frozen."""
        layers = self.decoder.layers if self._mirrors and self.built else []
        frozen = [index for index, layer in enumerate(layers) if not layer.trainable]
        config = super().get_build_config()  # None of a model that is not built
        return config and {**config, "frozen_decoder_layers": frozen}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build a loaded model."""
        self.build(config["input_shape"])
        for index in config["frozen_decoder_layers"]:
            self.decoder.layers[index].trainable = False

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        decoder = None if self._mirrors else keras.saving.serialize_keras_object(self.decoder)
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "decoder": decoder,
            "tied": self.tied,
            "output_activation": keras.activations.serialize(self.output_activation),
        }
