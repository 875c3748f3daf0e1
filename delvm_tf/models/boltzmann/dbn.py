"""Deep belief networks."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.curvature.sums import sum_per_example
from delvm_tf.models.boltzmann import factorial
from delvm_tf.models.boltzmann.bernoulli_rbm import BernoulliRBM, require_gibbs
from delvm_tf.models.boltzmann.gaussian_rbm import GaussianRBM
from delvm_tf.models.boltzmann.rbm import BlockGibbs
from delvm_tf.models.energy_model import EnergyModel
from delvm_tf.networks.arguments import positive_ints
from delvm_tf.normalization import InputNormalization
from delvm_tf.objectives.contrastive_divergence import ContrastiveDivergence
from delvm_tf.objectives.objective import Objective
from delvm_tf.objectives.stacked import StackedContrastiveDivergence


@keras.saving.register_keras_serializable(package="delvm_tf")
class DBN(BlockGibbs, EnergyModel):
    """A `GaussianRBM` with `BernoulliRBM`s on top, each trained on the hidden units below it.

    As a density, p(x, h¹, …) = p(x|h¹) p(h¹|h²) … p(hᴸ⁻¹, hᴸ): the top two layers are a Boltzmann
    machine, the others are generated from above. `energy` is an upper bound on −log p(x) − log Z,
    with Z of the top machine alone, from the recognition pass μˡ = σ(Wˡᵀμˡ⁻¹ + cˡ) taken as
    independent bits q:

        E(x) = E_q[−log p(x|h¹)] + Σ E_q[−log p(hˡ|hˡ⁺¹)] + E_top(μᴸ⁻¹) − Σ entropy(qˡ)

    The first term is exact, the second an upper bound (`factorial.softplus_bound`), and so is the
    third, as the free energy of a Boltzmann machine is concave. With one layer E is that of the
    `GaussianRBM`. The reconstruction is the mean-field pass up to the top and down again, not
    x − ∇E; the score is that of the bound.

    `fit` trains all machines at once; `dv.fit_layerwise` one after the other.

    Source: Hinton, Osindero and Teh (2006), A fast learning algorithm for deep belief nets.

    Args:
        units: hidden units of each layer, from below.
        objective: a `ContrastiveDivergence`, of which each layer gets its own; its `data_noise` is
            for the first layer only. `ContrastiveDivergence()` by default.
        normalization: see `ReconstructionModel`.
        scale: factor on the normalised inputs, 1/σ of the visible noise.
        visible_precision: None for unit noise, or a learned `"scalar"` or `"diagonal"` precision.
        upper_inputs: what upper layers learn from, the `"mean"` or a `"sample"` of the units below.
        kernel_initializer: a Keras initializer's name or instance.
        seed: makes the initial weights reproducible.
        machines: a `GaussianRBM` and `BernoulliRBM`s, without normalisation, that the model
            shares instead of new ones; then units, objective and initial weights are theirs. Those
            at the bottom that are not trainable stay so.
        **kwargs: `name` and `dtype` of the `keras.Model`.

    Raises:
        ValueError: for units that are not positive integers, or an unknown precision.
        TypeError: for another objective, or layers that are not restricted Boltzmann machines.

    Examples:
        >>> model = dv.DBN(units=(16, 8))
        >>> model.adapt(x)
        >>> histories = dv.fit_layerwise(model, x, epochs=10)
        >>> model.features(x).shape
        TensorShape([64, 24])
    """

    def __init__(
        self,
        units: int | Sequence[int] = (512, 256),
        objective: Objective | None = None,
        normalization: str | InputNormalization | None = "center",
        scale: float = 1.0,
        visible_precision: str | None = None,
        upper_inputs: str = "mean",
        kernel_initializer: Any = "glorot_uniform",
        seed: int | None = None,
        machines: Sequence[Any] | None = None,
        **kwargs: Any,
    ):
        if machines is None:
            machines = _new_machines(
                positive_ints("units", units), objective, visible_precision, kernel_initializer,
                seed, kwargs.get("dtype"),
            )  # fmt: skip
        _check_machines(machines)
        stacked = _stacked_objective(machines, upper_inputs)
        super().__init__(stacked, normalization=normalization, scale=scale, **kwargs)
        self.machines = list(machines)
        self.kernel_initializer = kernel_initializer
        self.seed = seed

    @property
    def units(self) -> tuple[int, ...]:
        """Hidden units of each layer."""
        return tuple(machine.units for machine in self.machines)

    def build_parameters(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights of all machines."""
        for machine in self.machines:
            machine.build(input_shape)
            input_shape = (None, machine.units)

    # The recognition pass.

    def hidden_logits(self, z: tf.Tensor) -> list[tf.Tensor]:
        """The log odds of the hidden units of each layer, on means from below."""
        logits = []
        for machine in self.machines:
            logits.append(machine.hidden_logits(z))
            z = tf.sigmoid(logits[-1])
        return logits

    def normalized_features(self, z: tf.Tensor) -> list[tf.Tensor]:
        """The means of all hidden layers."""
        return [tf.sigmoid(a) for a in self.hidden_logits(z)]

    def normalized_hidden(self, z: tf.Tensor) -> tf.Tensor:
        """The means of the top layer."""
        return self.normalized_features(z)[-1]

    def normalized_reconstruction(self, z: tf.Tensor) -> tf.Tensor:
        """Means up to the top and down again, shape of z."""
        h = self.normalized_hidden(z)
        for machine in reversed(self.machines):
            h = machine.visible_mean(h)
        return h

    def normalized_energy(self, z: tf.Tensor) -> tf.Tensor:
        """The variational bound on −log p(z) − log Z, (batch,). Cost: two passes."""
        first, *upper = self.machines
        if not upper:
            return first.normalized_energy(z)
        logits = self.hidden_logits(z)[:-1]
        means = [tf.sigmoid(a) for a in logits]
        energy = first.expected_visible_energy(z, means[0])
        for machine, below, above in zip(upper[:-1], means[:-1], means[1:], strict=True):
            a = machine.visible_logits(above)
            spread = tf.matmul(
                factorial.variance(above), tf.square(machine.kernel), transpose_b=True
            )
            energy += sum_per_example(factorial.softplus_bound(a, spread) - below * a)
        for a in logits:
            energy -= factorial.entropy(a)
        return energy + upper[-1].normalized_energy(means[-1])

    # Sampling: the top machine moves, and the layers below follow.

    def gibbs_state_shape(self) -> tuple[int, ...]:
        """Inputs, and the units below the top, in one vector; just the inputs of one layer."""
        if len(self.machines) == 1:
            return super().gibbs_state_shape()
        return (self._input_size + self.machines[-2].units,)

    def gibbs_start(self, z: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Inputs, and a draw of the units below the top by the recognition pass."""
        if len(self.machines) == 1:
            return z
        h = z
        for index, machine in enumerate(self.machines[:-1]):
            h = machine.sample_hidden(h, noise.fold(seed, index))
        return self._join(z, h)

    def gibbs_step(self, state: tf.Tensor, seed: tf.Tensor, visible_noise: float) -> tf.Tensor:
        """A round of Gibbs sampling of the top machine, then draws down to the inputs."""
        first, *upper = self.machines
        if not upper:
            return first.gibbs_step(state, seed, visible_noise)
        top = upper[-1].gibbs_step(state[:, self._input_size :], noise.fold(seed, 0), 1.0)
        h = top
        for index, machine in enumerate(reversed(upper[:-1]), start=2):
            h = machine.sample_visible(h, noise.fold(seed, index), 1.0)
        return self._join(first.sample_visible(h, noise.fold(seed, 1), visible_noise), top)

    def gibbs_visible(self, state: tf.Tensor) -> tf.Tensor:
        """The inputs in the state of chains."""
        if len(self.machines) == 1:
            return state
        return tf.reshape(state[:, : self._input_size], (-1, *self.gibbs_input_shape))

    def gibbs_energy(self, state: tf.Tensor) -> tf.Tensor:
        """The free energy of the top machine, (batch,)."""
        units = state if len(self.machines) == 1 else state[:, self._input_size :]
        return self.machines[-1].normalized_energy(units)

    @property
    def gibbs_input_shape(self) -> tuple[int, ...]:
        """Shape of one input of a built model."""
        return self.input_shape_or_none or ()

    @property
    def _input_size(self) -> int:
        return math.prod(self.gibbs_input_shape)

    def _join(self, z: tf.Tensor, h: tf.Tensor) -> tf.Tensor:
        return tf.concat([tf.reshape(z, (-1, self._input_size)), h], axis=1)

    def use_objective(self, objective: Objective) -> None:
        """Give each machine an objective of its own like the given one, as the constructor does.

        Raises:
            TypeError: if it is no contrastive divergence with Gibbs chains.
        """
        _check_objective(objective)
        upper_inputs = self.objective.upper_inputs
        for index, machine in enumerate(self.machines):
            own = layer_objective(objective, index) if index else objective
            machine.use_objective(own)
        super().use_objective(_stacked_objective(self.machines, upper_inputs))

    # Training layer by layer.

    @property
    def layer_count(self) -> int:
        """How many machines there are, for training one after the other."""
        return len(self.machines)

    def layer_stage(self, depth: int) -> "DBN":
        """The network of the first `depth` machines, shared, in which only the last one is trained.

        The machines below it are set to `trainable = False`.

        Raises:
            ValueError: if there are fewer machines.
        """
        return stage_of(self, self.machines, depth, self.objective.upper_inputs)

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving; units, objectives and precision are those of the machines."""
        config = super().get_config()
        del config["objective"]
        return {
            **config,
            "machines": [keras.saving.serialize_keras_object(m) for m in self.machines],
            "upper_inputs": self.objective.upper_inputs,
            "kernel_initializer": keras.saving.serialize_keras_object(self.kernel_initializer),
            "seed": self.seed,
        }


def stage_of(
    model: EnergyModel, machines: Sequence[Any], depth: int, upper_inputs: str = "mean"
) -> DBN:
    """A `DBN` of the first machines of a model, in which only the last one is trained.

    Raises:
        ValueError: if there are fewer machines.
    """
    if not isinstance(depth, int) or not 1 <= depth <= len(machines):
        raise ValueError(f"depth must lie between 1 and {len(machines)}, got {depth!r}")
    for machine in machines[: depth - 1]:
        machine.trainable = False
    machines[depth - 1].trainable = True
    stage = DBN(
        machines=machines[:depth],
        normalization=model.normalization,
        upper_inputs=upper_inputs,
        dtype=model.dtype_policy,
        name=f"{model.name}_stage_{depth}",
    )
    if model.built:
        stage.build((None, *(model.input_shape_or_none or ())))
    return stage


def _stacked_objective(machines: Sequence[Any], upper_inputs: str) -> StackedContrastiveDivergence:
    """The sum of the machines' objectives, from the first machine that is trained."""
    trained = [n for n, machine in enumerate(machines, start=1) if machine.trainable]
    return StackedContrastiveDivergence(
        len(machines), min(trained, default=1), upper_inputs, machines[0].objective.seed
    )


def layer_objective(objective: ContrastiveDivergence, index: int) -> ContrastiveDivergence:
    """A fresh objective for a layer above the first, like that of the first."""
    config = {**objective.get_config(), "data_noise": 0.0}
    config["name"] = f"{objective.name}_{index}"
    if objective.seed is not None:
        config["seed"] = objective.seed + index
    return type(objective).from_config(config)


def _new_machines(
    units: Sequence[int],
    objective: Objective | None,
    visible_precision: str | None,
    kernel_initializer: Any,
    seed: int | None,
    dtype: Any,
) -> list[EnergyModel]:
    objective = ContrastiveDivergence() if objective is None else objective
    _check_objective(objective)
    machines: list[EnergyModel] = []
    for index, n in enumerate(units):
        shared = {
            "units": n,
            "normalization": "none",
            "kernel_initializer": kernel_initializer,
            "seed": None if seed is None else seed + index,
            "dtype": dtype,
            "name": f"rbm_{index + 1}",
        }
        if index == 0:
            machines.append(
                GaussianRBM(objective=objective, visible_precision=visible_precision, **shared)
            )
        else:
            machines.append(BernoulliRBM(objective=layer_objective(objective, index), **shared))
    return machines


def _check_objective(objective: Any) -> None:
    if not isinstance(objective, ContrastiveDivergence):
        raise TypeError(
            f"a DBN learns each layer as a Boltzmann machine of the hidden units below, which are "
            f"binary and have no score, so it takes objective=dv.ContrastiveDivergence(), "
            f"got {type(objective).__name__}"
        )
    require_gibbs(objective, "DBN")


def _check_machines(machines: Sequence[Any]) -> None:
    kinds = [type(machine).__name__ for machine in machines]
    expected = [GaussianRBM] + [BernoulliRBM] * (len(machines) - 1)
    if not machines or not all(map(isinstance, machines, expected)):
        raise TypeError(f"machines must be a GaussianRBM and BernoulliRBMs above it, got {kinds}")
    for machine in machines:
        _check_objective(machine.objective)
        if machine.normalization.mode != "none":
            raise ValueError(
                f"machines of a DBN have normalization='none', as it has its own, got "
                f"{machine.normalization.mode!r} in {machine.name}"
            )
