"""Deep Boltzmann machines."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.curvature.sums import sum_per_example
from delvm_tf.models.boltzmann import factorial
from delvm_tf.models.boltzmann.bernoulli_rbm import BernoulliRBM
from delvm_tf.models.boltzmann.dbn import DBN, layer_objective, stage_of
from delvm_tf.models.boltzmann.gaussian_rbm import GaussianRBM
from delvm_tf.models.boltzmann.rbm import BlockGibbs
from delvm_tf.models.energy_model import EnergyModel
from delvm_tf.networks.arguments import layer_kernel_initializer, positive_ints
from delvm_tf.normalization import InputNormalization
from delvm_tf.objectives.contrastive_divergence import ContrastiveDivergence
from delvm_tf.objectives.objective import Objective


@keras.saving.register_keras_serializable(package="delvm_tf")
class DBM(BlockGibbs, EnergyModel):
    """A Boltzmann machine with Gaussian visible units and several layers of binary hidden ones.

        E(x, h¹, h², …) = ½‖x−b‖² − xᵀW¹h¹ − h¹ᵀW²h² − … − Σ cˡ·hˡ

    `energy` is the mean-field free energy, min over factorial q of E_q[E(x, h)] − entropy(q), an
    upper bound on −log Σ_h exp(−E(x, h)), equal where the hidden units are independent given x (one
    layer, or Wˡ = 0 above the first). The minimum is sought by updates of the even and the odd
    layers in turn, each the exact minimum given the other, from a pass upwards; the bound holds
    after any number of them, and gradients are those of the bound after `mean_field_steps`.

    Contrastive divergence, its positive phase by mean field and its chains by block Gibbs sampling
    of odd and even layers, is the method of the source. Score matching matches the score of the
    mean-field energy, which is another density; it costs some passes through all updates.

    `dv.fit_layerwise` trains Boltzmann machines that share the weights, one above the other, as a
    start for joint training (`joint_epochs`, or `fit` afterwards). The source doubles the inputs of
    the first and last machine meanwhile, to make up for the missing layer; here joint training
    has to.

    Source: Salakhutdinov and Hinton (2009), Deep Boltzmann machines.

    Args:
        units: hidden units of each layer, from below.
        mean_field_steps: updates of all layers.
        objective: `ContrastiveDivergence(k=5, persistent=True)` by default.
        normalization: see `ReconstructionModel`.
        scale: factor on the normalised inputs, 1/σ of the visible noise.
        visible_precision: None for unit noise, or a learned `"scalar"` or `"diagonal"` precision.
        kernel_initializer: a Keras initializer's name or instance.
        seed: makes the initial weights reproducible.
        **kwargs: `name` and `dtype` of the `keras.Model`.

    Raises:
        ValueError: for units or steps that are no positive integers, or an unknown precision.

    Examples:
        >>> model = dv.DBM(units=(16, 8))
        >>> model.adapt(x); model.compile("adam")
        >>> history = model.fit(x, epochs=10)  # or layer by layer before, by dv.fit_layerwise
        >>> model.hidden(x).shape
        TensorShape([64, 8])
    """

    def __init__(
        self,
        units: int | Sequence[int] = (256, 128),
        mean_field_steps: int = 10,
        objective: Objective | None = None,
        normalization: str | InputNormalization | None = "center",
        scale: float = 1.0,
        visible_precision: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        seed: int | None = None,
        **kwargs: Any,
    ):
        n_units = positive_ints("units", units)
        (mean_field_steps,) = positive_ints("mean_field_steps", [mean_field_steps])
        if objective is None:
            objective = ContrastiveDivergence(k=5, persistent=True)
        super().__init__(objective, normalization=normalization, scale=scale, **kwargs)
        self.units = n_units
        self.mean_field_steps = mean_field_steps
        self.kernel_initializer = kernel_initializer
        self.seed = seed
        self.first = GaussianRBM(
            self.units[0],
            normalization="none",
            visible_precision=visible_precision,
            kernel_initializer=kernel_initializer,
            seed=seed,
            objective=ContrastiveDivergence(seed=seed),
            dtype=self.dtype_policy,
            name="first",
        )
        self.upper = [
            keras.layers.Dense(
                n,
                kernel_initializer=layer_kernel_initializer(kernel_initializer, seed, index),
                dtype=self.dtype_policy,
                name=f"layer_{index + 1}",
            )
            for index, n in enumerate(self.units[1:], start=1)
        ]

    def build_parameters(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights."""
        self.first.build(input_shape)
        for below, layer in zip(self.units, self.upper, strict=False):
            if not layer.built:
                layer.build((None, below))

    # Layers are numbered from 0, the one next to the inputs.

    def _weights(self) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Kernel and bias of each layer, in the type of z."""
        dtype = self.normalization.result_dtype
        upper = [(tf.cast(u.kernel, dtype), tf.cast(u.bias, dtype)) for u in self.upper]
        return [(self.first.kernel, self.first.hidden_bias), *upper]

    @property
    def _odd(self) -> range:
        """The first hidden layer, the third and so on."""
        return range(0, len(self.units), 2)

    @property
    def _even(self) -> range:
        """The second hidden layer, the fourth and so on."""
        return range(1, len(self.units), 2)

    def _flat(self, z: tf.Tensor) -> tf.Tensor:
        return tf.reshape(z, (-1, self._input_size))

    def mean_field(self, z: tf.Tensor) -> dict[int, tf.Tensor]:
        """Log odds of the even layers after all updates, by layer."""
        flat, weights = self._flat(z), self._weights()
        means: dict[int, tf.Tensor] = {}
        for layer in range(len(self.units)):
            means[layer] = tf.sigmoid(_logits(weights, layer, flat, means))
        logits: dict[int, tf.Tensor] = {}
        for _ in range(self.mean_field_steps if self.upper else 0):
            for layer in self._odd:
                means[layer] = tf.sigmoid(_logits(weights, layer, flat, means))
            for layer in self._even:
                logits[layer] = _logits(weights, layer, flat, means)
                means[layer] = tf.sigmoid(logits[layer])
        return logits

    def _energy_of_even(self, z: tf.Tensor, even: dict[int, tf.Tensor]) -> tf.Tensor:
        """The energy with given even layers and the odd ones summed out, (batch,)."""
        flat, weights = self._flat(z), self._weights()
        energy = self.first.visible.energy(z)
        for layer in self._odd:
            energy -= sum_per_example(tf.nn.softplus(_logits(weights, layer, flat, even)))
        for layer in self._even:
            energy -= tf.linalg.matvec(even[layer], weights[layer][1])
        return energy

    def normalized_energy(self, z: tf.Tensor) -> tf.Tensor:
        """The mean-field free energy, (batch,). Cost: `mean_field_steps` + 2 passes."""
        logits = self.mean_field(z)
        means = {layer: tf.sigmoid(a) for layer, a in logits.items()}
        energy = self._energy_of_even(z, means)
        for a in logits.values():
            energy -= factorial.entropy(a)
        return energy

    def normalized_features(self, z: tf.Tensor) -> list[tf.Tensor]:
        """The mean-field means of all hidden layers, from below."""
        flat, weights = self._flat(z), self._weights()
        means = {layer: tf.sigmoid(a) for layer, a in self.mean_field(z).items()}
        odd = {layer: tf.sigmoid(_logits(weights, layer, flat, means)) for layer in self._odd}
        return [{**odd, **means}[layer] for layer in range(len(self.units))]

    def normalized_hidden(self, z: tf.Tensor) -> tf.Tensor:
        """The mean-field means of the top layer."""
        return self.normalized_features(z)[-1]

    # Gibbs sampling; the state is the inputs and the even layers in one vector.

    def gibbs_state_shape(self) -> tuple[int, ...]:
        """Inputs and units of the even layers."""
        return (self._input_size + sum(self.units[layer] for layer in self._even),)

    def gibbs_start(self, z: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """The inputs, and a draw of the even layers by mean field."""
        parts = [self._flat(z)]
        for layer, a in self.mean_field(z).items():
            parts.append(noise.bernoulli(tf.sigmoid(a), noise.fold(seed, layer)))
        return tf.concat(parts, axis=1)

    def gibbs_step(self, state: tf.Tensor, seed: tf.Tensor, visible_noise: float) -> tf.Tensor:
        """The odd layers given inputs and even layers, then these given the odd ones."""
        (flat, even), weights = self._split(state), self._weights()
        odd = {
            layer: noise.bernoulli(
                tf.sigmoid(_logits(weights, layer, flat, even)), noise.fold(seed, layer)
            )
            for layer in self._odd
        }
        inputs_seed = noise.fold(seed, len(self.units))
        parts = [self._flat(self.first.sample_visible(odd[0], inputs_seed, visible_noise))]
        for layer in self._even:
            p = tf.sigmoid(_logits(weights, layer, flat, odd))
            parts.append(noise.bernoulli(p, noise.fold(seed, layer)))
        return tf.concat(parts, axis=1)

    def gibbs_visible(self, state: tf.Tensor) -> tf.Tensor:
        """The inputs in the state of chains, (batch, ...)."""
        return tf.reshape(state[:, : self._input_size], (-1, *(self.input_shape_or_none or ())))

    def gibbs_energy(self, state: tf.Tensor) -> tf.Tensor:
        """The energy of inputs and even layers, the odd ones summed out exactly, (batch,)."""
        _, even = self._split(state)
        return self._energy_of_even(self.gibbs_visible(state), even)

    @property
    def _input_size(self) -> int:
        return math.prod(self.input_shape_or_none or ())

    def _split(self, state: tf.Tensor) -> tuple[tf.Tensor, dict[int, tf.Tensor]]:
        sizes = [self._input_size, *(self.units[layer] for layer in self._even)]
        flat, *even = tf.split(state, sizes, axis=1)
        return flat, dict(zip(self._even, even, strict=True))

    # Training layer by layer.

    @property
    def layer_count(self) -> int:
        """How many hidden layers there are, for training one after the other."""
        return len(self.units)

    def layer_stage(self, depth: int) -> DBN:
        """A `DBN` that shares the first layers and trains the machine of the last of them.

        The biases of its upper machines for the units below are not part of this model.

        Raises:
            ValueError: if there are fewer layers.
        """
        machines: list[EnergyModel] = [self.first]
        for index, layer in enumerate(self.upper, start=1):
            machines.append(
                BernoulliRBM(
                    hidden_layer=layer,
                    objective=layer_objective(self.first.objective, index),
                    dtype=self.dtype_policy,
                    name=f"rbm_{index + 1}",
                )
            )
        return stage_of(self, machines, depth)

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {
            **super().get_config(),
            "units": list(self.units),
            "mean_field_steps": self.mean_field_steps,
            "visible_precision": self.first.visible.precision,
            "kernel_initializer": keras.saving.serialize_keras_object(self.kernel_initializer),
            "seed": self.seed,
        }


def _logits(
    weights: list[tuple[tf.Tensor, tf.Tensor]],
    layer: int,
    flat: tf.Tensor,
    hidden: dict[int, tf.Tensor],
) -> tf.Tensor:
    """Log odds of the units of a layer, given those of its neighbours that are in `hidden`."""
    kernel, bias = weights[layer]
    logits = tf.matmul(flat if layer == 0 else hidden[layer - 1], kernel) + bias
    if layer + 1 in hidden:
        logits += tf.matmul(hidden[layer + 1], weights[layer + 1][0], transpose_b=True)
    return logits
