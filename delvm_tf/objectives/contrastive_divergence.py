"""Contrastive divergence."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.curvature.sums import sum_per_example
from delvm_tf.distribution import shares
from delvm_tf.objectives.chains import ChainPool, TakenChains
from delvm_tf.objectives.objective import Objective, ObjectiveValue
from delvm_tf.samplers import Gibbs, Sampler, get_sampler, run_chain
from delvm_tf.samplers.sampler import not_negative


@keras.saving.register_keras_serializable(package="delvm_tf")
class ContrastiveDivergence(Objective):
    """The likelihood's gradient, E_data[∇E] − E_model[∇E], with chains in place of the model.

    Chains start at the data (CD-k), or go on from where they were (`persistent`), from a buffer of
    which each step takes some if it is larger. As loss, the energy of the data minus that of the
    chains; its value says nothing about the fit, its gradient does. Hidden variables are summed
    out: the gradient of E(x) is the mean of that of E(x, h), with less variance. Cost of a step:
    k forward and k backward passes for the chains, and two of each for the gradient.

    Source: Hinton (2002), Tieleman (2008) for persistent chains, Du and Mordatch (2019) for the
    buffer; Guo and Kim (2023) for the sampler x′ = Jᵀh.

    Args:
        k: steps of the chains for each step of the optimizer.
        persistent: whether the chains go on. They are part of the model, saved and restored.
        sampler: a sampler, its name, or a table of its name and settings; None for what the model
            proposes: x′ = Jᵀh for deep models, block Gibbs for Boltzmann machines, Langevin for the
            rest.
        chains: persistent chains that a step advances, over all replicas.
        buffer: persistent chains in all; as many as `chains` unless given.
        restart: chance that a persistent chain starts anew, at normal noise times the
            normalisation's `scale`.
        data_noise: standard deviation of noise added to the data in training, normalised units.
        energy_regularization: factor on E(x)² + E(x′)², which holds the energies near zero.
        seed: of the chains.

    Raises:
        ValueError: for numbers out of range, or buffer settings without persistent chains.
        TypeError: if it is no sampler, or is Gibbs and the model cannot sample x given h.

    Examples:
        >>> objective = dv.ContrastiveDivergence(k=60, sampler=dv.samplers.Langevin(1.0, 7.5e-3),
        ...     persistent=True, buffer=5000, restart=0.05, energy_regularization=5e-3)
        >>> model = dv.CEBM(dv.networks.cebm_cnn(), latents=128, objective=objective)
    """

    term_names = ("data_energy", "chain_energy", "chain_power")
    needs_score = False
    divergence_hint = (
        " Chains may run away too: use fewer or smaller sampling steps, persistent chains, or "
        "energy_regularization."
    )

    def __init__(
        self,
        k: int = 1,
        persistent: bool = False,
        sampler: str | Mapping[str, Any] | Sampler | None = None,
        chains: int = 100,
        buffer: int | None = None,
        restart: float = 0.0,
        data_noise: float = 0.0,
        energy_regularization: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        for name, number in (("k", k), ("chains", chains), ("buffer", buffer or chains)):
            if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                raise ValueError(f"{name} must be a positive integer, got {number!r}")
        if not persistent and (buffer is not None or restart):
            raise ValueError(
                "buffer and restart are settings of persistent chains; persistent=True"
            )
        if buffer is not None and buffer < chains:
            raise ValueError(f"the buffer ({buffer}) must hold the chains of a step ({chains})")
        if not 0 <= restart <= 1:
            raise ValueError(f"restart must lie between 0 and 1, got {restart!r}")
        self.k = k
        self.persistent = bool(persistent)
        self.sampler = None if sampler is None else get_sampler(sampler)
        if self.sampler is not None and self.sampler.over_levels:
            raise ValueError(
                f"{type(self.sampler).__name__} samples models with noise levels, which "
                f"contrastive divergence does not train; use sampler='langevin'"
            )
        self.chains = chains
        self.buffer = buffer
        self.restart = float(restart)
        self.data_noise = not_negative("data_noise", data_noise)
        self.energy_regularization = not_negative("energy_regularization", energy_regularization)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.pool = ChainPool(self.buffer or chains, chains, self.restart) if persistent else None

    def check_model(self, model: Any) -> None:
        """Refuse models without an energy."""
        super().check_model(model)

    def build_for(self, model: Any) -> None:
        """Make room for the persistent chains."""
        sampler = self.sampler_for(model)
        if isinstance(sampler, Gibbs) and not model.has_gibbs:
            raise TypeError(
                f"{type(model).__name__} has no Gibbs sampler, because x given h cannot be "
                f"sampled; use ContrastiveDivergence(sampler='langevin')"
            )
        if self.pool is not None:
            self.pool.build_for(sampler.state_shape(model), model.normalization.result_dtype)

    def sampler_for(self, model: Any) -> Sampler:
        """The sampler in use: the one given, or the model's own."""
        return model.chain_sampler if self.sampler is None else self.sampler

    def compute(self, model: Any, z: tf.Tensor, training: bool) -> ObjectiveValue:
        """E(x) − E(x′) of each example; with persistent chains x′ is averaged over."""
        sampler = self.sampler_for(model)
        seed = noise.next_seed(self.seed_generator)
        data = z
        if training and self.data_noise:
            data += self.data_noise * noise.normal(tf.shape(z), noise.fold(seed, 0), z.dtype)
        taken = self._take(sampler, model, data, seed)
        start = sampler.start(model, data, noise.fold(seed, 2)) if taken is None else taken.state
        # All passes read the same tensors, so that TensorFlow computes what they share once.
        with keras.StatelessScope(state_mapping=_read(model.trainable_variables)):
            with self._share_of_chains():
                chains = run_chain(sampler, model, start, self.k, noise.fold(seed, 1)).state
            data_energy = model.normalized_energy(data)
            chain_energy = sampler.energy(model, chains)
            chain_power = sum_per_example(tf.square(sampler.visible(model, chains)))
            error = z - model.normalized_reconstruction(z)
        if training and self.pool is not None and taken is not None:
            self.pool.put(taken, chains)
        squared = tf.square(chain_energy)
        if self.persistent:
            means = tf.stack([tf.reduce_mean(t) for t in (chain_energy, squared, chain_power)])
            chain_energy, squared, chain_power = (
                tf.fill(tf.shape(data_energy), mean)
                for mean in tf.unstack(shares.mean_over_replicas(means))
            )
        loss = data_energy - chain_energy
        if self.energy_regularization:
            loss += self.energy_regularization * (tf.square(data_energy) + squared)
        return ObjectiveValue(
            loss=loss,
            terms={
                "data_energy": data_energy,
                "chain_energy": chain_energy,
                "chain_power": chain_power,
            },
            reconstruction_error=sum_per_example(tf.square(error)),
        )

    def _take(
        self, sampler: Sampler, model: Any, data: tf.Tensor, seed: tf.Tensor
    ) -> TakenChains | None:
        """Persistent chains, if there are any; those that begin do so at noise."""
        if self.pool is None:
            return None

        def fresh(number: tf.Tensor) -> tf.Tensor:
            z = sampler.begin(model, number, noise.fold(seed, 3))
            z = tf.ensure_shape(z, (None, *data.shape[1:]))
            return sampler.start(model, z, noise.fold(seed, 2))

        with self._share_of_chains():
            return self.pool.take(fresh, noise.fold(seed, 4))

    def _share_of_chains(self) -> AbstractContextManager[Any]:
        """All replicas advance as many persistent chains; others are shared as the data are."""
        if not self.persistent:
            return nullcontext()
        return shares.even_share(self.chains // shares.replica()[1])

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {
            **super().get_config(),
            "k": self.k,
            "persistent": self.persistent,
            "sampler": keras.saving.serialize_keras_object(self.sampler),
            "chains": self.chains,
            "buffer": self.buffer,
            "restart": self.restart,
            "data_noise": self.data_noise,
            "energy_regularization": self.energy_regularization,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ContrastiveDivergence":
        """Make the objective again from its configuration."""
        sampler = keras.saving.deserialize_keras_object(config.pop("sampler", None))
        return cls(sampler=sampler, **config)


def _read(variables: list[Any]) -> list[tuple[Any, tf.Tensor]]:
    """Variables with their present values."""
    return [(variable, tf.convert_to_tensor(variable.value)) for variable in variables]
