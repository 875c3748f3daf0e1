"""Energies of a network's output: E(x) = ½xᵀΛx − g(f(x))."""

from typing import Any

import keras
import tensorflow as tf

from delvm_tf.curvature import Curvature, Outer, Potential
from delvm_tf.models.energy_model import EnergyModel, Trace
from delvm_tf.models.features import feature_function
from delvm_tf.models.visible import QuadraticVisible
from delvm_tf.normalization import InputNormalization
from delvm_tf.objectives.objective import Objective


class LatentEnergyModel(EnergyModel):
    """An energy with hidden variables h that enter as hᵀf(x) and are summed or integrated out.

    What is left is E(x) = ½xᵀΛx − g(f(x)), with ∇g(f) the mean of h given x and reconstruction
    x̂ = x − Λx + Jᵀ∇g(f). A subclass names its `outer` function g; that is all.

    Args:
        network: f, any Keras Sequential, functional or subclassed model, built or not.
        objective: how it is learned; `ScoreMatching()` by default.
        normalization: see `EnergyModel`.
        scale: see `EnergyModel`.
        visible_precision: None for Λ = I, or a learned `"scalar"`, `"diagonal"` or `"full"` Λ.
        **kwargs: `name` and `dtype` of the `keras.Model`.

    Raises:
        TypeError: if the network is not a Keras model or layer.
    """

    outer: Outer

    def __init__(
        self,
        network: Any,
        objective: Objective | None = None,
        normalization: str | InputNormalization = "center",
        scale: float = 1.0,
        visible_precision: str | None = None,
        **kwargs: Any,
    ):
        if not isinstance(network, keras.layers.Layer):
            raise TypeError(
                f"network must be a Keras model such as dv.networks.ffnn((256,)), got {network!r}"
            )
        super().__init__(objective=objective, normalization=normalization, scale=scale, **kwargs)
        self.network = network
        self.visible = QuadraticVisible(
            visible_precision, dtype=self.dtype_policy, name="quadratic"
        )
        self._potential = Potential(network, self.outer, self.normalization.result_dtype)
        self._feature_function: Any = None

    def build_energy(self, input_shape: tuple[int | None, ...]) -> None:
        """Build the network and the quadratic part, and check that they fit together."""
        if not self.network.built:
            self.network.build(input_shape)
        expected = getattr(self.network, "input_shape", None)
        if isinstance(expected, tuple) and tuple(expected[1:]) != tuple(input_shape[1:]):
            raise ValueError(
                f"the network takes inputs of shape {tuple(expected[1:])}, but the data have shape "
                f"{tuple(input_shape[1:])}"
            )
        for layer in self.network._flatten_layers():
            if getattr(layer, "activity_regularizer", None) is not None:
                raise ValueError(
                    f"layer {layer.name} has an activity regulariser, which the derivatives of an "
                    f"energy cannot honour; regularise the kernel instead"
                )
        self.visible.build(input_shape)

    @property
    def potential(self) -> Potential:
        """g(f(z)), the part of −E that is not quadratic."""
        return self._potential

    def normalized_energy(self, z: tf.Tensor) -> tf.Tensor:
        """½zᵀΛz − g(f(z)), (batch,)."""
        return self.visible.energy(z) - self.potential(z)

    def normalized_gradient(self, z: tf.Tensor) -> tf.Tensor:
        """Λz − Jᵀ∇g(f), shape of z."""
        with tf.GradientTape() as tape:
            tape.watch(z)
            u = self.potential(z)
        return self.visible.gradient(z) - tape.gradient(u, z)

    def normalized_hidden(self, z: tf.Tensor) -> tf.Tensor:
        """∇g(f(z)), the mean of the hidden variables, shape of f."""
        return self.outer.mean_hidden(self.potential.output(z))

    def normalized_features(self, z: tf.Tensor) -> list[tf.Tensor]:
        """The output of each nonlinear layer, and of the network."""
        if self._feature_function is None:
            self._feature_function = feature_function(self.network)
        return self._feature_function(z)

    def energy_curvature(self, z: tf.Tensor, trace: Trace) -> Curvature:
        """∇E = Λz − ∇g(f) and tr ∇²E = tr Λ − tr ∇²g(f)."""
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
        }
