"""The base of all energies: a probability density and its derivatives."""

import abc
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from delvm_tf.curvature.curvature import Curvature, PotentialFunction
from delvm_tf.models.reconstruction_model import BATCH_SIZE, ReconstructionModel
from delvm_tf.normalization import InputNormalization
from delvm_tf.objectives.objective import Objective
from delvm_tf.objectives.score_matching import ScoreMatching
from delvm_tf.samplers import MALA, Langevin, Sampler, sample
from delvm_tf.training.received import require_ready

Trace = Callable[[PotentialFunction, tf.Tensor], Curvature]


class EnergyModel(ReconstructionModel):
    """A probability model p(x) ∝ exp(−E(x)), given by its energy E.

    A subclass gives `normalized_energy` and, if it has hidden variables, `normalized_hidden`; all
    else follows: the score −∇E, the reconstruction x̂ = x − ∇E, the reconstruction error
    ‖x − x̂‖² = ‖∇E‖², features, every objective, samples, detection, export. Energies, scores and
    errors are in normalised units.

    Args:
        objective: how the energy is learned; `ScoreMatching()` by default.
        normalization: see `ReconstructionModel`.
        scale: factor on the normalised inputs, 1/σ of the visible noise.
        **kwargs: `name` and `dtype` of the `keras.Model`.

    Examples:
        The standard normal density, whose score is −x:

        >>> class Normal(dv.EnergyModel):
        ...     def normalized_energy(self, z):
        ...         return 0.5 * tf.reduce_sum(z**2, axis=1)
        >>> model = Normal(normalization="none")
        >>> model.build((None, 6))
        >>> np.allclose(model.score(x), -x)
        True
        >>> model.sample(100, "mala", steps=50).shape
        TensorShape([100, 6])
    """

    def __init__(
        self,
        objective: Objective | None = None,
        normalization: str | InputNormalization | None = "center",
        scale: float = 1.0,
        **kwargs: Any,
    ):
        objective = ScoreMatching() if objective is None else objective
        super().__init__(objective, normalization=normalization, scale=scale, **kwargs)

    @abc.abstractmethod
    def normalized_energy(self, z: tf.Tensor) -> tf.Tensor:
        """E(z) up to a constant, (batch, ...) to (batch,)."""

    # What a subclass gives for Gibbs sampling, if it can.

    def gibbs_step(self, state: tf.Tensor, seed: tf.Tensor, visible_noise: float) -> tf.Tensor:
        """One round of sampling the hidden variables and then the visible ones.

        Args:
            state: the chains, (batch, ...).
            seed: of all random numbers of the round.
            visible_noise: factor on the noise of the visible values; 0 for their mean.

        Raises:
            TypeError: if x given h cannot be sampled.
        """
        raise TypeError(
            f"{type(self).__name__} has no Gibbs sampler, because x given h cannot be sampled; "
            f"use a Langevin sampler"
        )

    @property
    def has_gibbs(self) -> bool:
        """Whether `gibbs_step` can be used."""
        return type(self).gibbs_step is not EnergyModel.gibbs_step

    def gibbs_start(self, z: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """The state of Gibbs chains that start at z; z itself unless hidden variables persist."""
        return z

    def gibbs_state_shape(self) -> tuple[int, ...]:
        """Shape of the state of one Gibbs chain."""
        return self.input_shape_or_none or ()

    def gibbs_visible(self, state: tf.Tensor) -> tf.Tensor:
        """The visible part of the state of Gibbs chains, (batch, ...)."""
        return state

    def gibbs_energy(self, state: tf.Tensor) -> tf.Tensor:
        """The energy of the state of Gibbs chains, (batch,), as contrastive divergence needs it."""
        return self.normalized_energy(state)

    @property
    def chain_sampler(self) -> Sampler:
        """The sampler that contrastive divergence uses unless told otherwise.

        Often the one of the paper that the model is from, whose chains need not have the density
        p(x); `density_sampler` has it.
        """
        return Langevin()

    @property
    def density_sampler(self) -> Sampler:
        """The sampler that `sample` uses unless told otherwise, one whose chains tend to p(x).

        MALA, which has exactly exp(−E)/Z as its stationary density for any energy and step;
        Boltzmann machines have block Gibbs with noise, exact too and faster.
        """
        return MALA()

    # What follows from the energy.

    @property
    def potential(self) -> PotentialFunction:
        """The function whose Laplacian `energy_curvature` needs; here −E."""
        return self._negative_energy

    def _negative_energy(self, z: tf.Tensor) -> tf.Tensor:
        return -self.normalized_energy(z)

    def normalized_gradient(self, z: tf.Tensor) -> tf.Tensor:
        """∇E, shape of z. Cost: one forward and one backward pass."""
        with tf.GradientTape() as tape:
            tape.watch(z)
            energy = self.normalized_energy(z)
        return tape.gradient(energy, z)

    def normalized_reconstruction(self, z: tf.Tensor) -> tf.Tensor:
        """The reconstruction z − ∇E, shape of z."""
        return z - self.normalized_gradient(z)

    def energy_curvature(self, z: tf.Tensor, trace: Trace) -> Curvature:
        """∇E and tr ∇²E by the given trace method."""
        curvature = trace(self.potential, z)
        return Curvature(curvature.output, -curvature.gradient, -curvature.laplacian)

    def sample(
        self,
        n: int,
        sampler: str | Sampler | None = None,
        steps: int | None = None,
        initial: Any = None,
        record_every: int | None = None,
        seed: int | None = None,
        details: bool = False,
    ) -> Any:
        """Samples of p(x) from n chains, (n, ...) in raw units.

        They are float64 where the data have an offset beyond float32 (see `InputNormalization`).

        Args:
            n: number of chains.
            sampler: `"gibbs"`, `"langevin"`, `"mala"`, `"annealed"`, for models with noise levels
                also `"flow"`, `"reverse_diffusion"`, `"level_langevin"` and `"level_mala"`, or a
                sampler with its settings from `dv.samplers`; the model's `density_sampler` by
                default.
            steps: steps of each chain; the sampler's usual number by default, 1000 for chains at
                one level.
            initial: where the chains start, (n, ...) in raw units; by default at normal
                noise times `scale`, in normalised units, or at that of the largest noise level.
            record_every: steps between records of the trajectory; start and end only by default.
            seed: makes the samples reproducible.
            details: return a `SamplingRun` with trajectory, energies and acceptance rate.

        Raises:
            ValueError: if the model is not built, or for numbers below one.
            TypeError: if the model cannot do what the sampler needs.
            SamplingDiverged: if chains run away.
        """
        require_ready(self, "sampling")
        sampler = self.density_sampler if sampler is None else sampler
        run = sample(self, n, sampler, steps, initial, record_every, seed)
        return run if details else run.samples

    def energy(self, x: Any, batch_size: int = BATCH_SIZE) -> tf.Tensor:
        """Energy E(x) up to a constant, (batch,); lower is more probable."""
        return self.apply("energy", self.normalized_energy, x, batch_size)

    def score(self, x: Any, batch_size: int = BATCH_SIZE) -> tf.Tensor:
        """Score ∇ log p = −∇E with respect to the normalised inputs, shape of x."""
        return self.apply("score", self._normalized_score, x, batch_size)

    def _normalized_score(self, z: tf.Tensor) -> tf.Tensor:
        return -self.normalized_gradient(z)
