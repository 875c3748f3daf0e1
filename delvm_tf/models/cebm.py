"""Conjugate energy-based models: a tractable posterior of the hidden variables."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from delvm_tf.curvature import GaussianLogPartition, MixtureLogPartition, Potential
from delvm_tf.curvature.graph import is_graph
from delvm_tf.models.latent_energy_model import LatentEnergyModel
from delvm_tf.models.mixture_prior import MixturePrior
from delvm_tf.models.reconstruction_model import BATCH_SIZE
from delvm_tf.models.visible import QuadraticVisible
from delvm_tf.normalization import InputNormalization
from delvm_tf.objectives.objective import Objective
from delvm_tf.samplers import Langevin, Sampler


class Posterior(NamedTuple):
    """The hidden variables given x.

    Attributes:
        mean: (batch, latents).
        variance: of each hidden variable by itself, (batch, latents).
    """

    mean: tf.Tensor
    variance: tf.Tensor


@keras.saving.register_keras_serializable(package="delvm_tf")
class CEBM(LatentEnergyModel):
    """E(x) = A(λ) − A(λ+t(x)), with hidden variables whose posterior is normal.

    The network's output, flattened, feeds two linear heads a and b of one value for each hidden
    variable. In exp(−E(x, h)) = p(h) exp(hᵀa(x) − (h²)ᵀb(x)²) they enter through the statistics
    t = (a, −b²), so that a normal prior p(h) with natural parameters λ is conjugate: h given x has
    λ + t(x), and integrates out to a difference of log-partitions A. The prior is standard normal,
    or with `components=K` a learned mixture, for clustering:

        E(x) = −log Σₖ πₖ exp(A(λₖ+t(x)) − A(λₖ))

    Nothing in the energy is quadratic in x, so it need not grow with ‖x‖, and exp(−E) need not have
    a finite integral: the model is then a density near the data only, and long chains may run away.
    `visible_precision` adds a quadratic part. Score matching needs no integral and is the default.
    The authors train by contrastive divergence with a buffer of short Langevin chains, of the step
    and noise that are this model's `chain_sampler`; their setting is
    `ContrastiveDivergence(k=60, persistent=True, buffer=5000, restart=0.05, data_noise=0.03,
    energy_regularization=5e-3)` with Adam at 5e-5.

    Source: Wu, Esmaeili, Wick, Tristan and van de Meent (2021), Conjugate energy-based models.

    Args:
        network: the body below the heads, such as `dv.networks.cebm_cnn()`; any Keras Sequential,
            functional or subclassed model, built or not.
        latents: hidden variables.
        components: None for a standard normal prior, the number of Gaussians in a learned one, or
            the prior itself, a `MixturePrior` that models share.
        objective: how it is learned; `ScoreMatching()` by default.
        normalization: see `EnergyModel`.
        scale: see `EnergyModel`.
        visible_precision: see `LatentEnergyModel`; `"zero"`, for no quadratic part, in the source.
        visible_bias: see `LatentEnergyModel`; only with a quadratic part.
        **kwargs: `name` and `dtype` of the `keras.Model`.

    Raises:
        ValueError: if the numbers are not positive integers, or a bias has no quadratic part.

    Examples:
        >>> model = dv.CEBM(dv.networks.cebm_cnn(), latents=64, components=10)
        >>> model.adapt(images)
        >>> mean, variance = model.posterior(images)
        >>> clusters = model.responsibilities(images).numpy().argmax(axis=1)
        >>> mean.shape, clusters.shape
        (TensorShape([16, 64]), (16,))
    """

    outer: GaussianLogPartition | MixtureLogPartition = GaussianLogPartition()

    def __init__(
        self,
        network: Any,
        latents: int = 128,
        components: int | MixturePrior | None = None,
        objective: Objective | None = None,
        normalization: str | InputNormalization | None = "center",
        scale: float = 1.0,
        visible_precision: str | QuadraticVisible | None = "zero",
        visible_bias: str | None = None,
        **kwargs: Any,
    ):
        prior = components if isinstance(components, MixturePrior) else None
        if isinstance(components, MixturePrior):
            components = components.components
        for name, value in (
            ("latents", latents),
            ("components", 1 if components is None else components),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")
        super().__init__(
            network,
            objective=objective,
            normalization=normalization,
            scale=scale,
            visible_precision=visible_precision,
            visible_bias=visible_bias,
            **kwargs,
        )
        self.latents = latents
        self.components = components
        self.heads = keras.layers.Dense(2 * latents, dtype=self.dtype_policy, name="heads")
        if components is not None and prior is None:
            prior = MixturePrior(latents, components, dtype=self.dtype_policy, name="prior")
        self.prior = prior
        if prior is not None:
            self.outer = MixtureLogPartition(prior)

    def build_parameters(self, input_shape: tuple[int | None, ...]) -> None:
        """Build the body, put the heads on it, and build the prior."""
        super().build_parameters(input_shape)
        if is_graph(self.network):
            # One flat graph, in which features and derivatives find every layer.
            inputs, output = self.network.inputs[0], self.network.outputs[0]
        else:
            inputs = keras.Input(tuple(input_shape[1:]), dtype=self.compute_dtype)
            output = self.network(inputs)
        if len(output.shape) > 2:
            output = keras.layers.Flatten(dtype=self.dtype_policy, name="heads_flatten")(output)
        if len(output.shape) < 2 or output.shape[-1] is None:
            raise ValueError(
                f"the network must give (batch, features) or feature maps of known size, "
                f"got {tuple(output.shape)}"
            )
        encoder = keras.Model(inputs, self.heads(output), name="encoder")
        if self.prior is not None and not self.prior.built:
            self.prior.build()
        self._potential = Potential(encoder, self.outer, self.normalization.result_dtype)

    def normalized_features(self, z: tf.Tensor) -> list[tf.Tensor]:
        """The output of each nonlinear layer and of the body, and the posterior mean."""
        return [*super().normalized_features(z), self.normalized_hidden(z)]

    def posterior(self, x: Any, batch_size: int = BATCH_SIZE) -> Posterior:
        """Mean and variance of the hidden variables given x, (batch, latents) each.

        With a mixture prior, over all components.
        """
        moments = self.apply("posterior", self._posterior_moments, x, batch_size)
        return Posterior(*tf.unstack(moments, axis=1))

    def _posterior_moments(self, z: tf.Tensor) -> tf.Tensor:
        f = self.potential.output(z)
        return tf.stack([self.outer.mean_hidden(f), self.outer.variance(f)], axis=1)

    def responsibilities(self, x: Any, batch_size: int = BATCH_SIZE) -> tf.Tensor:
        """Probability of each component of a mixture prior given x, (batch, components).

        Raises:
            TypeError: if the prior is no mixture.
        """
        if not isinstance(self.outer, MixtureLogPartition):
            raise TypeError(
                "the prior of this CEBM is one Gaussian, so there are no responsibilities; "
                "make the model with components=K for a mixture"
            )
        return self.apply("responsibilities", self._responsibilities, x, batch_size)

    def _responsibilities(self, z: tf.Tensor) -> tf.Tensor:
        outer: Any = self.outer
        return outer.responsibilities(self.potential.output(z))

    @property
    def chain_sampler(self) -> Sampler:
        """The authors' Langevin steps, much colder than the density itself."""
        return Langevin(step_size=1.0, noise_level=7.5e-3)

    def _shared(self) -> dict[str, Any]:
        return {"components": self.components if self.prior is None else self.prior}

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {**super().get_config(), "latents": self.latents, "components": self.components}
