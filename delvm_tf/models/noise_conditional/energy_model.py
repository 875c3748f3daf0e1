"""The base of energies that know the noise level: one network for the data at all of them."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from delvm_tf.curvature import Curvature, Outer, Potential
from delvm_tf.curvature.sums import beside, sum_per_example
from delvm_tf.models.energy_model import EnergyModel, Trace
from delvm_tf.models.network import check_level_network
from delvm_tf.models.noise_conditional import drawing, flow
from delvm_tf.models.noise_conditional.fixed_level import FixedLevel
from delvm_tf.models.reconstruction_model import BATCH_SIZE, JoinedFeatures
from delvm_tf.models.visible import QuadraticVisible
from delvm_tf.networks import LevelNetwork
from delvm_tf.normalization import InputNormalization
from delvm_tf.objectives.noise_conditional_score_matching import NoiseConditionalScoreMatching
from delvm_tf.objectives.objective import Objective
from delvm_tf.samplers import ProbabilityFlow, Sampler
from delvm_tf.samplers.annealed import decreasing_levels
from delvm_tf.samplers.sampler import positive

SMALLEST, LARGEST = 0.05, 2.0


class NoiseConditionalEnergyModel(EnergyModel):
    """An energy at every noise level σ: that of the data with noise σε added, ε ~ N(0, I).

        E(x, σ) = ½‖(x−b)/σ‖² − (1 + 1/σ²) g(f(x/√(1+σ²), log σ))

    In units of u = x/√(1+σ²) that is, for b = 0, 1 + 1/σ² times the energy ½‖u‖² − g(f(u)) of a
    model without levels, so that each level has hidden variables with the mean ∇g(f), features, a
    reconstruction x̂ = x − σ²∇E = b + √(1+σ²) Jᵀ∇g(f), the mean of the data given x, and an error
    ‖σ∇E‖² = ‖(x − x̂)/σ‖². What takes no level is at `default_sigma`. A subclass names its `outer`
    function g.

    With `preconditioned=True` d more hidden variables of fixed weights stand for normal data:

        E(x, σ) = ½‖x−b‖²/(1+σ²) − (σ + 1/σ) g(f(x/√(1+σ²), log σ))

    which for the DELVM is the energy above with [u/√(1+σ²), √σ f] in place of f. A network that
    gives 0 then stands for normal data and not for noise alone, and what it has to learn is of one
    size at all levels: small ones are learned in a fraction of the steps. Source for the idea:
    Karras et al. (2022), Elucidating the design space of diffusion-based generative models.

    A level is a number σ > 0 in normalised units, so that 1/`scale` standard deviations of the data
    are σ = 1. Levels outside of those that the model learns are refused.

    Args:
        network: f, any Keras model of [x, log σ], (batch, ...) and (batch, 1), such as
            `dv.networks.level_ffnn()`; built or not.
        objective: how it is learned; `NoiseConditionalScoreMatching()` by default.
        normalization: see `EnergyModel`.
        scale: see `EnergyModel`.
        noise_levels: how many levels a geometric ladder has, or the levels themselves, from the
            largest to the smallest; those of `energies` and `errors`.
        smallest_noise: the smallest level of the ladder, 0.05 by default.
        largest_noise: the largest level of the ladder, 2 by default.
        default_sigma: the level of `energy`, `score`, `features` and so on unless they are told
            another; the middle one of the ladder by default.
        visible_bias: None for b = 0, or a learned b, `"each"` value or one a `"channel"`.
        preconditioned: whether fixed hidden variables take the part of normal data.
        **kwargs: `name` and `dtype` of the `keras.Model`.

    Raises:
        TypeError: if the network is not a Keras model or layer, or the objective learns one energy.
        ValueError: if levels are not positive or do not decrease, or the default lies outside.
    """

    outer: Outer
    noise_conditional = True
    _plain = True  # whether f is the network's output itself

    def __init__(
        self,
        network: Any,
        objective: Objective | None = None,
        normalization: str | InputNormalization | None = "center",
        scale: float = 1.0,
        noise_levels: int | Sequence[float] = 8,
        smallest_noise: float | None = None,
        largest_noise: float | None = None,
        default_sigma: float | None = None,
        visible_bias: str | None = None,
        preconditioned: bool = False,
        **kwargs: Any,
    ):
        check_level_network(network)
        objective = NoiseConditionalScoreMatching() if objective is None else objective
        super().__init__(objective=objective, normalization=normalization, scale=scale, **kwargs)
        self.network = network
        self._noise_levels = _ladder(noise_levels, smallest_noise, largest_noise)
        self.preconditioned = preconditioned
        self.default_sigma = self.noise_levels[len(self.noise_levels) // 2]
        if default_sigma is not None:
            self.default_sigma = self._known("default_sigma", default_sigma)
        self.visible = QuadraticVisible(
            None, visible_bias, dtype=self.dtype_policy, name="quadratic"
        )

    @property
    def noise_levels(self) -> tuple[float, ...]:
        """The levels from the largest to the smallest."""
        return self._noise_levels

    @property
    def density_sampler(self) -> Sampler:
        """The probability flow, by Heun's method.

        At equal cost it comes closest to mixtures of normal densities: see the documentation.
        `MALA()` samples the energy at `default_sigma` alone.
        """
        return ProbabilityFlow()

    def build_parameters(self, input_shape: tuple[int | None, ...]) -> None:
        """Build the network, and the bias."""
        if not self.network.built:
            shapes = (tuple(input_shape), (None, 1))
            self.network.build([*shapes])
            if not isinstance(self.network, LevelNetwork):
                types = self.network.compute_dtype
                self.network([keras.KerasTensor(shape, types) for shape in shapes])
        self.visible.build(input_shape)

    # In normalised units. Levels are log σ, a scalar or (batch,); without, that of `default_sigma`.

    def normalized_energy(self, z: tf.Tensor, log_sigma: Any = None) -> tf.Tensor:
        """½‖(z−b)/σ‖² − (1 + 1/σ²) g(f), (batch,)."""
        log_sigma = self.per_example(z, log_sigma)
        return self._energy(z, log_sigma, self.outer(self._output(z, log_sigma)[1]))

    def normalized_energy_and_reconstruction(
        self, z: tf.Tensor, log_sigma: Any = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """E, (batch,), and x̂ = z − σ²∇E, shape of z. Cost: a pass forward and one back."""
        log_sigma = self.per_example(z, log_sigma)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            u, f = self._output(z, log_sigma, tape)
            value = self.outer(f)
        pulled = tape.gradient(value, u)
        precision, weight = self._weights(log_sigma)
        variance = tf.exp(2 * log_sigma)
        pull = beside(variance * weight * tf.math.rsqrt(1 + variance), z) * pulled
        reconstruction = z - beside(variance * precision, z) * self.visible.gradient(z) + pull
        return self._energy(z, log_sigma, value), reconstruction

    def _energy(self, z: tf.Tensor, log_sigma: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        precision, weight = self._weights(log_sigma)
        return self.visible.energy(z) * precision - weight * value

    def _weights(self, log_sigma: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What ½‖z−b‖² and g(f) are multiplied by at a level."""
        if self.preconditioned:
            return 1 / (1 + tf.exp(2 * log_sigma)), 2 * tf.cosh(log_sigma)
        precision = tf.exp(-2 * log_sigma)
        return precision, 1 + precision

    def _output(
        self, z: tf.Tensor, log_sigma: tf.Tensor, tape: Any = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """U = z/√(1+σ²), watched by the tape, and f(u, log σ)."""
        u = z * beside(tf.math.rsqrt(1 + tf.exp(2 * log_sigma)), z)
        if tape is not None:
            tape.watch(u)
        return u, self.level_output(u, log_sigma)

    def level_output(self, u: tf.Tensor, log_sigma: tf.Tensor) -> tf.Tensor:
        """f(u, log σ) in the type of u."""
        f = self.network([u, log_sigma[:, tf.newaxis]], training=False)
        return tf.cast(f, u.dtype)

    def normalized_reconstruction(self, z: tf.Tensor, log_sigma: Any = None) -> tf.Tensor:
        """Z − σ²∇E, the mean of the data given z, shape of z."""
        return self.normalized_energy_and_reconstruction(z, log_sigma)[1]

    def normalized_gradient(self, z: tf.Tensor, log_sigma: Any = None) -> tf.Tensor:
        """∇E, shape of z."""
        log_sigma = self.per_example(z, log_sigma)
        residual = z - self.normalized_reconstruction(z, log_sigma)
        return residual * beside(tf.exp(-2 * log_sigma), z)

    def normalized_squared_residual(self, z: tf.Tensor, log_sigma: Any = None) -> tf.Tensor:
        """The terms of the error, ((z − x̂)/σ)², shape of z."""
        log_sigma = self.per_example(z, log_sigma)
        residual = z - self.normalized_reconstruction(z, log_sigma)
        return tf.square(residual * beside(tf.exp(-log_sigma), z))

    def normalized_hidden(self, z: tf.Tensor, log_sigma: Any = None) -> tf.Tensor:
        """∇g(f), the mean of the hidden variables, shape of f."""
        return self.outer.mean_hidden(self._output(z, self.per_example(z, log_sigma))[1])

    def normalized_features(self, z: tf.Tensor, log_sigma: Any = None) -> list[tf.Tensor]:
        """The outputs of the network's layers if it has `maps`, or f of any other network."""
        log_sigma = self.per_example(z, log_sigma)
        if not hasattr(self.network, "maps"):
            return [self._output(z, log_sigma)[1]]
        u = z * beside(tf.math.rsqrt(1 + tf.exp(2 * log_sigma)), z)
        return self.network.maps([u, log_sigma[:, tf.newaxis]])

    def normalized_energies_and_errors(
        self, z: tf.Tensor, log_sigmas: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Energies and errors ‖(z − x̂)/σ‖² at several levels, (batch, levels) each.

        Args:
            z: normalised inputs, (batch, ...).
            log_sigmas: log σ of each level, (levels,), as many as are known when the graph is made;
                those of `noise_levels` by default.
        """
        if log_sigmas is None:
            log_sigmas = tf.constant([math.log(s) for s in self.noise_levels], z.dtype)
        energies, errors = [], []
        for log_sigma in tf.unstack(log_sigmas):
            energy, reconstruction = self.normalized_energy_and_reconstruction(z, log_sigma)
            energies.append(energy)
            errors.append(sum_per_example(tf.square(z - reconstruction)) * tf.exp(-2 * log_sigma))
        return tf.stack(energies, axis=1), tf.stack(errors, axis=1)

    def per_example(self, z: tf.Tensor, log_sigma: Any) -> tf.Tensor:
        """Log σ of each example, (batch,); of one level for all, or of `default_sigma`."""
        if log_sigma is None:
            log_sigma = tf.constant(math.log(self.default_sigma), z.dtype)
        return log_sigma if log_sigma.shape.rank == 1 else tf.fill(tf.shape(z)[:1], log_sigma)

    # At a fixed level the energy is that of a plain network, for exact traces.

    def potential_at(self, sigma: float) -> Potential:
        """g(f(u, log σ)) at a fixed σ, a function of u = z/√(1+σ²).

        That of a `LevelNetwork` is a plain network with the scales and shifts of the present, so
        that traces know its layers; ask again after training.
        """
        sigma = self._known("sigma", sigma)
        network: Any = FixedLevel(self, math.log(sigma))
        if self._plain and isinstance(self.network, LevelNetwork) and tf.executing_eagerly():
            network = self.network.at_level(sigma, self.input_shape_or_none or ())
        return Potential(network, self.outer, self.normalization.result_dtype)

    @property
    def potential(self) -> Potential:
        """`potential_at(self.default_sigma)`."""
        return self.potential_at(self.default_sigma)

    def energy_curvature(self, z: tf.Tensor, trace: Trace, sigma: float | None = None) -> Curvature:
        """∇E and tr ∇²E in z, at a fixed level."""
        sigma = self.default_sigma if sigma is None else sigma
        spread = math.sqrt(1 + sigma**2)
        precision, weight = self._weights(tf.constant(math.log(sigma), z.dtype))
        curvature = trace(self.potential_at(sigma), z / spread)
        gradient = precision * self.visible.gradient(z) - weight / spread * curvature.gradient
        bend = weight / spread**2 * curvature.laplacian
        return Curvature(curvature.output, gradient, precision * self.visible.laplacian(z) - bend)

    # The public functions, in raw units.

    def energies(
        self, x: Any, batch_size: int = BATCH_SIZE, sigmas: Sequence[float] | None = None
    ) -> tf.Tensor:
        """Energies at several levels, `noise_levels` by default, (batch, levels).

        Each level has a constant of its own.
        """
        return self.apply("energies", self._energies, x, batch_size, self._logs(sigmas))

    def errors(
        self, x: Any, batch_size: int = BATCH_SIZE, sigmas: Sequence[float] | None = None
    ) -> tf.Tensor:
        """Errors ‖σ∇E‖² at several levels, `noise_levels` by default, (batch, levels)."""
        return self.apply("errors", self._errors, x, batch_size, self._logs(sigmas))

    def _energies(self, z: tf.Tensor, log_sigmas: tf.Tensor) -> tf.Tensor:
        levels = [self.normalized_energy(z, log_sigma) for log_sigma in tf.unstack(log_sigmas)]
        return tf.stack(levels, axis=1)

    def _errors(self, z: tf.Tensor, log_sigmas: tf.Tensor) -> tf.Tensor:
        return self.normalized_energies_and_errors(z, log_sigmas)[1]

    def energy(self, x: Any, batch_size: int = BATCH_SIZE, sigma: float | None = None) -> tf.Tensor:
        """Energy E(x, σ) up to a constant of each level, (batch,)."""
        return self.apply("energy", self.normalized_energy, x, batch_size, self._log(sigma))

    def score(self, x: Any, batch_size: int = BATCH_SIZE, sigma: float | None = None) -> tf.Tensor:
        """Score −∇E(x, σ) with respect to the normalised inputs, shape of x."""
        return self.apply("score", self._normalized_score, x, batch_size, self._log(sigma))

    def _normalized_score(self, z: tf.Tensor, log_sigma: Any = None) -> tf.Tensor:
        return -self.normalized_gradient(z, log_sigma)

    def reconstruct(
        self, x: Any, batch_size: int = BATCH_SIZE, sigma: float | None = None
    ) -> tf.Tensor:
        """The mean of the data given x = data + σε, in raw units, shape of x."""
        return self._batchwise(
            "reconstruct", self.call, x, batch_size, self._compiled_functions, self._log(sigma)
        )

    # Drawing, and the flow between data and noise.

    def denoise(
        self,
        x: Any,
        sigma: float | None = None,
        draws: int | None = None,
        steps: int = 100,
        seed: int | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> tf.Tensor:
        """Clean data given x = data + σε: their mean, shape of x, or draws, (draws, n, ...).

        The mean is `reconstruct(x, sigma=sigma)`. Draws are those of `ReverseDiffusion` that starts
        at x; their mean is that mean, and they spread as far as the data are unknown.

        Args:
            x: noisy data in raw units.
            sigma: the level of their noise in normalised units; `default_sigma` by default.
            draws: how many draws of each row, or None for the mean.
            steps: from the level to the smallest, of draws.
            seed: makes draws reproducible; each row has its own, whatever the `batch_size`.
            batch_size: rows at a time; as many times `draws` are computed at once.
        """
        if draws is None:
            return self.reconstruct(x, batch_size, sigma)
        (log_sigma,) = self._log(sigma)
        return drawing.posterior_draws(self, x, log_sigma, draws, steps, seed, batch_size)

    def inpaint(
        self,
        x: Any,
        mask: Any,
        draws: int | None = None,
        steps: int = 100,
        correctors: int = 2,
        particles: int = 4,
        seed: int | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> tf.Tensor:
        """X with the values where the mask is False drawn given those where it is True.

        Values go down the noise levels by the reverse diffusion, known ones with noise of each
        level on them, and the free ones take Metropolis-adjusted steps on E(x, σ) at each. Known
        values so tell at each level as much as its noise allows. Where they tell by little which of
        several distant modes it is, more `particles` are needed to draw these at their odds.

        Args:
            x: data in raw units, an array; of values to be drawn nothing is read, NaN is allowed.
            mask: booleans, True where x is known, of the shape of x or of one example; any axis
                may be 1, as the channels of (28, 28, 1).
            draws: how many draws of each row, (draws, n, ...); by default one, shape of x.
            steps: from the largest level to the smallest.
            correctors: Metropolis-adjusted steps at each level.
            particles: points that go down together, of which one is drawn by its weight; see
                `Reversal`. Draws are from the conditional density as they become many.
            seed: see `denoise`.
            batch_size: rows at a time; as many times `draws` · `particles` are computed at once.

        Raises:
            TypeError: if the mask is not boolean.
            ValueError: if its shape does not fit, or the normalisation mixes values (`"zca"`).
        """
        return drawing.inpaint(self, x, mask, draws, steps, correctors, particles, seed, batch_size)

    def latents(self, x: Any, steps: int = 100, batch_size: int = BATCH_SIZE) -> tf.Tensor:
        """Where the probability flow takes x at the largest level, in raw units, shape of x.

        There they are about N(0, (s² + σ₁²)I) in normalised units. `from_latents` goes back, and
        so does `sample(n, ProbabilityFlow(), initial=latents)`, which ends at the posterior mean.
        """
        return flow.latents(self, x, steps, batch_size)

    def from_latents(
        self, latents: Any, steps: int = 100, batch_size: int = BATCH_SIZE
    ) -> tf.Tensor:
        """The data whose latents are given, shape of the latents, up to the error of the flow."""
        return flow.latents(self, latents, steps, batch_size, up=False)

    def interpolate(
        self, a: Any, b: Any, n: int = 9, steps: int = 100, batch_size: int = BATCH_SIZE
    ) -> tf.Tensor:
        """N points from a to b on the arc between their latents, (n, rows, ...), row by row.

        The first and the last are a and b, up to the error of the flow.
        """
        return flow.interpolate(self, a, b, n, steps, batch_size)

    def flow_log_density(
        self,
        x: Any,
        steps: int = 100,
        probes: int | None = None,
        seed: int | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> tf.Tensor:
        """The logarithm of the density that `ProbabilityFlow(denoise=False)` samples, (batch,).

            log p(x) = log N(x₁; 0, (s² + σ₁²)I) + ∫ σ ΔE(x(σ), σ) dσ

        from the smallest level up to the largest along the flow of x, which ends at x₁; in nats and
        raw units, as `DensityDELVM.log_density`, which needs no flow. Steps are Heun's. Source:
        Song et al. (2021), section 4.3. Cost of a step: two traces of a Hessian, of as many
        products as there are probes. The network needs smooth activations: second derivatives
        leave out kinks, such as those of ReLU, and a warning says so.

        Args:
            x: data in raw units.
            steps: of the flow.
            probes: random signs whose mean estimates the trace, without bias for the integral; None
                for the exact trace, of as many products as x has values.
            seed: of the probes; each row has its own.
            batch_size: rows at a time.
        """
        return flow.flow_log_density(self, x, steps, probes, seed, batch_size)

    def call(self, x: tf.Tensor, log_sigma: Any = None) -> tf.Tensor:
        """Reconstruction in raw units; what `predict` returns, batch by batch."""
        reconstruction = self.normalized_reconstruction(self.normalized(x), log_sigma)
        return self.normalization.invert(reconstruction, self.normalization.raw_dtype(x.dtype))

    def reconstruction_error(
        self, x: Any, batch_size: int = BATCH_SIZE, sigma: float | None = None
    ) -> tf.Tensor:
        """Error ‖σ∇E‖² = ‖(z − ẑ)/σ‖², in units of the noise, (batch,)."""
        return self.apply(
            "reconstruction_error", self._squared_residual, x, batch_size, self._log(sigma)
        )

    def _squared_residual(self, z: tf.Tensor, log_sigma: Any = None) -> tf.Tensor:
        return sum_per_example(self.normalized_squared_residual(z, log_sigma))

    def hidden(self, x: Any, batch_size: int = BATCH_SIZE, sigma: float | None = None) -> tf.Tensor:
        """Mean of the hidden variables E[h|x] at a level, (batch, ...)."""
        return self.apply("hidden", self.normalized_hidden, x, batch_size, self._log(sigma))

    def features(
        self,
        x: Any,
        pool: int | None = 2,
        layers: str = "all",
        batch_size: int = BATCH_SIZE,
        sigma: float | None = None,
    ) -> tf.Tensor:
        """Feature maps at a level, max-pooled, flattened and joined; see `ReconstructionModel`."""
        joined = JoinedFeatures(self, pool, layers)
        return self.apply("features", joined, x, batch_size, self._log(sigma))

    def _log(self, sigma: float | None) -> tuple[tf.Tensor, ...]:
        return (self._logs([self.default_sigma if sigma is None else sigma], "sigma")[0][0],)

    def _logs(
        self, sigmas: Sequence[float] | None, name: str = "each of sigmas"
    ) -> tuple[tf.Tensor, ...]:
        known = [self._known(name, sigma) for sigma in sigmas or self.noise_levels]
        return (tf.math.log(tf.constant(known, self.normalization.result_dtype)),)

    def _known(self, name: str, sigma: Any) -> float:
        """A level among those that the model learns; ValueError for any other."""
        sigma = positive(name, sigma)
        low, high = self.noise_levels[-1], self.noise_levels[0]
        if not low * (1 - 1e-6) <= sigma <= high * (1 + 1e-6):
            raise ValueError(
                f"{name} must lie between the smallest and the largest level that "
                f"{type(self).__name__} learns, {low:g} and {high:g}, got {sigma!r}"
            )
        return sigma

    # Saving.

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "noise_levels": self.noise_levels,
            "default_sigma": self.default_sigma,
            "visible_bias": self.visible.bias,
            "preconditioned": self.preconditioned,
        }


def _ladder(levels: Any, smallest: float | None, largest: float | None) -> tuple[float, ...]:
    if not isinstance(levels, int):
        if smallest is not None or largest is not None:
            raise ValueError(
                f"smallest_noise and largest_noise are the ends of a ladder of a number of levels, "
                f"and noise_levels={levels!r} are the levels themselves"
            )
        return decreasing_levels("noise_levels", levels)
    if isinstance(levels, bool) or levels < 2:
        raise ValueError(
            f"noise_levels must be two or more, or the levels themselves, got {levels!r}"
        )
    low = positive("smallest_noise", SMALLEST if smallest is None else smallest)
    high = positive("largest_noise", LARGEST if largest is None else largest)
    if low >= high:
        raise ValueError(f"smallest_noise must be less than largest_noise={high!r}, got {low!r}")
    return tuple(float(level) for level in np.geomspace(high, low, levels))
