"""Energies of a network's output: E(x) = ½(x−b)ᵀΛ(x−b) − g(f(x))."""

from typing import Any

import keras
import tensorflow as tf

from delvm_tf import keras_private, noise
from delvm_tf.curvature import Curvature, Outer, Potential
from delvm_tf.curvature.graph import layer_chain
from delvm_tf.models.energy_model import EnergyModel, Trace
from delvm_tf.models.feature_maps import feature_function
from delvm_tf.models.network import build_network, check_network
from delvm_tf.models.visible import QuadraticVisible
from delvm_tf.normalization import InputNormalization
from delvm_tf.objectives.objective import Objective
from delvm_tf.samplers import Gibbs, Sampler


class LatentEnergyModel(EnergyModel):
    """An energy with hidden variables h that enter as hᵀf(x) and are summed or integrated out.

    What is left is E(x) = ½(x−b)ᵀΛ(x−b) − g(f(x)), with ∇g(f) the mean of h given x and
    x̂ = x − Λ(x−b) + Jᵀ∇g(f). A subclass names its `outer` function g; that is all.

    Args:
        network: f, any Keras Sequential, functional or subclassed model, built or not.
        objective: how it is learned; `ScoreMatching()` by default.
        normalization: see `EnergyModel`.
        scale: see `EnergyModel`.
        visible_precision: None for Λ = I, or a learned `"scalar"`, `"diagonal"` or `"full"` Λ,
            or `"zero"`; or the quadratic part itself, a `QuadraticVisible` that models share.
        visible_bias: None for b = 0, or a learned b, `"each"` value or one a `"channel"`.
        **kwargs: `name` and `dtype` of the `keras.Model`.

    Raises:
        TypeError: if the network is not a Keras model or layer.

    Examples:
        >>> class Quartic(dv.curvature.ElementwiseOuter):
        ...     def jet(self, f):
        ...         return dv.curvature.Jet(f**4 / 4, f**3, 3 * f**2)
        >>> class QuarticEnergy(dv.LatentEnergyModel):
        ...     outer = Quartic()
        >>> model = QuarticEnergy(dv.networks.ffnn((4,), "tanh"))
        >>> model.adapt(x); model.compile("adam")
        >>> history = model.fit(x, epochs=2)
    """

    outer: Outer

    def __init__(
        self,
        network: Any,
        objective: Objective | None = None,
        normalization: str | InputNormalization | None = "center",
        scale: float = 1.0,
        visible_precision: str | QuadraticVisible | None = None,
        visible_bias: str | None = None,
        **kwargs: Any,
    ):
        check_network(network)
        super().__init__(objective=objective, normalization=normalization, scale=scale, **kwargs)
        self.network = network
        if isinstance(visible_precision, QuadraticVisible):
            self.visible = visible_precision
        else:
            self.visible = QuadraticVisible(
                visible_precision, visible_bias, dtype=self.dtype_policy, name="quadratic"
            )
        self._potential = Potential(network, self.outer, self.normalization.result_dtype)

    def build_parameters(self, input_shape: tuple[int | None, ...]) -> None:
        """Build the network and the quadratic part, and check that they fit together."""
        build_network(self.network, input_shape)
        for layer in keras_private.all_layers(self.network):
            if isinstance(layer, keras.layers.SpectralNormalization):
                raise ValueError(
                    f"layer {layer.name} normalises its kernel in training only, and an energy "
                    f"must be one function; use kernel_constraint=dv.networks.SpectralNorm()"
                )
            if getattr(layer, "activity_regularizer", None) is not None:
                raise ValueError(
                    f"layer {layer.name} has an activity regulariser, which the derivatives of an "
                    f"energy cannot honour; regularise the kernel instead"
                )
            if hasattr(layer, "use_cudnn"):
                layer.use_cudnn = False  # whose kernels can be differentiated once only
        if not self.visible.built:  # a stage's is shared
            self.visible.build(input_shape)

    @property
    def potential(self) -> Potential:
        """g(f(z)), the part of −E that is not quadratic."""
        return self._potential

    def normalized_energy(self, z: tf.Tensor) -> tf.Tensor:
        """½(z−b)ᵀΛ(z−b) − g(f(z)), (batch,)."""
        return self.visible.energy(z) - self.potential(z)

    def normalized_gradient(self, z: tf.Tensor) -> tf.Tensor:
        """Λ(z−b) − Jᵀ∇g(f), shape of z."""
        with tf.GradientTape() as tape:
            tape.watch(z)
            u = self.potential(z)
        return self.visible.gradient(z) - tape.gradient(u, z)

    def normalized_hidden(self, z: tf.Tensor) -> tf.Tensor:
        """∇g(f(z)), the mean of the hidden variables, shape of f."""
        return self.outer.mean_hidden(self.potential.output(z))

    def normalized_features(self, z: tf.Tensor) -> list[tf.Tensor]:
        """The output of each nonlinear layer, and of the network."""
        return feature_function(self.network)(z)

    def gibbs_step(self, state: tf.Tensor, seed: tf.Tensor, visible_noise: float) -> tf.Tensor:
        """Draw h given x, then x′ ~ N(b + Λ⁻¹Jᵀh, Λ⁻¹), exact where f is linear.

        For other networks f is taken as linear around x, as in Guo and Kim (2023), whose sampler
        is x′ = Jᵀh, without noise. Cost: one forward and one backward pass.
        """
        if not self.has_gibbs:
            return super().gibbs_step(state, seed, visible_noise)
        with tf.GradientTape() as tape:
            tape.watch(state)
            f = self.potential.output(state)
        h = self.outer.sample_hidden(f, noise.fold(seed, 0))
        pulled = tape.gradient(f, state, output_gradients=h)
        return self.visible.sample(pulled, noise.fold(seed, 1), visible_noise)

    @property
    def has_gibbs(self) -> bool:
        """Whether x given h is normal, f taken as linear."""
        return self.outer.linear and not self.visible.is_zero

    @property
    def chain_sampler(self) -> Sampler:
        """The sampler x′ = Jᵀh of Guo and Kim (2023), if the model has one."""
        return Gibbs(visible_noise=0.0) if self.has_gibbs else super().chain_sampler

    @property
    def layer_count(self) -> int:
        """How many layers with weights the network has, for training layer by layer."""
        return len(self._weighted_layers())

    def layer_stage(self, depth: int) -> "LatentEnergyModel":
        """The model of the first `depth` layers, which shares them with this one.

        Its energy is over x too, ½(x−b)ᵀΛ(x−b) − g(f(x)) with f cut off after layer `depth` and the
        layers without weights that follow it. The layers below are set to `trainable = False`.
        Objective, normalisation and quadratic part are shared. The last stage is the model itself.

        Raises:
            ValueError: if the network is no chain of layers, or has fewer.
        """
        places = self._weighted_layers()
        if not 1 <= depth <= len(places):
            raise ValueError(f"depth must lie between 1 and {len(places)}, got {depth!r}")
        chain = layer_chain(self.network) or []
        for place in places[: depth - 1]:
            chain[place].trainable = False
        chain[places[depth - 1]].trainable = True
        if depth == len(places):
            return self
        shape = tuple(self.network.input_shape[1:])
        first = keras.Input(shape, dtype=self.network.inputs[0].dtype)
        stage = self._with_network(
            keras.Sequential([first, *chain[: places[depth]]], name=f"layers_1_to_{depth}")
        )
        stage.build((None, *shape))
        return stage

    def _weighted_layers(self) -> list[int]:
        """Places of the layers with weights in the chain that the network is."""
        if not self.built:
            raise ValueError(f"{self.name} is not built; call model.adapt(x) first")
        chain = layer_chain(self.network)
        if chain is None:
            raise ValueError(
                f"{self.network.name} is not a chain of layers, so it cannot be grown layer by "
                f"layer; use a Sequential network, or train it by fit"
            )
        return [place for place, layer in enumerate(chain) if layer.weights]

    def _with_network(self, network: Any) -> "LatentEnergyModel":
        """A model like this one, with another network; all else is shared."""
        return type(self).from_config(
            {
                **self.get_config(),
                "name": network.name,
                "network": network,
                "objective": self.objective,
                "normalization": self.normalization,
                "visible_precision": self.visible,
                **self._shared(),
            }
        )

    def _shared(self) -> dict[str, Any]:
        """Layers of a subclass that models of another network share, as arguments."""
        return {}

    def energy_curvature(self, z: tf.Tensor, trace: Trace) -> Curvature:
        """∇E = Λ(z−b) − ∇g(f) and tr ∇²E = tr Λ − tr ∇²g(f)."""
        curvature = trace(self.potential, z)
        return Curvature(
            curvature.output,
            self.visible.gradient(z) - curvature.gradient,
            self.visible.laplacian(z) - curvature.laplacian,
        )

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "visible_precision": self.visible.precision,
            "visible_bias": self.visible.bias,
        }
