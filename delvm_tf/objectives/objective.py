"""What an objective is to a model."""

import abc
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from delvm_tf.keras_private import Checkpointed, all_layers


class ObjectiveValue(NamedTuple):
    """What an objective makes of a batch.

    Attributes:
        loss: the loss of each example, (batch,).
        terms: named parts of it, each (batch,), shown as metrics.
        reconstruction_error: ‖∇E‖² of each example, (batch,).
        watched: an error of each example and that of a model that predicts nothing, (batch,) each,
            which tell `DivergenceGuard` of a run that diverges; unless given, the reconstruction
            error and the squared norm of the inputs.

    Examples:
        >>> objective = dv.ScoreMatching()
        >>> value = objective.compute(model, model.normalization(x), training=False)
        >>> value.loss.shape, [*value.terms]
        (TensorShape([64]), [...])
    """

    loss: tf.Tensor
    terms: dict[str, tf.Tensor]
    reconstruction_error: tf.Tensor
    watched: tuple[tf.Tensor, ...] = ()


class Objective(Checkpointed, keras.layers.Layer, abc.ABC):
    """A training objective of an energy model.

    A subclass gives `compute`, and names in `term_names` the parts of its loss that become metrics.
    It is a Keras layer only so that its state (random generators, chains) is saved with the model;
    it has no `call`. The sign convention is that of the energy, p(x) ∝ exp(−E(x)), everywhere.

    Examples:
        Energies that shall be higher by 1 a step away from the data:

        >>> class Margin(dv.Objective):
        ...     def compute(self, model, z, training):
        ...         gap = model.normalized_energy(z + 1) - model.normalized_energy(z)
        ...         error = tf.reduce_sum((z - model.normalized_reconstruction(z)) ** 2, axis=1)
        ...         return dv.ObjectiveValue(tf.nn.relu(1 - gap), {}, error)
        >>> model = dv.DELVM(dv.networks.ffnn((4,)), objective=Margin())
        >>> model.adapt(x); model.compile("adam")
        >>> history = model.fit(x, epochs=2)
    """

    term_names: tuple[str, ...] = ()
    divergence_hint: str = ""
    needs_score: bool = True  # of the data, so that they cannot be binary
    noise_conditional: bool = False  # whether it is for energies that know the noise level

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.built = True

    def check_model(self, model: Any) -> None:
        """Refuse a model that this objective makes no sense for; by default one without an energy.

        Raises:
            TypeError: the message says why, and what to use instead.
        """
        if not hasattr(model, "normalized_energy"):
            raise TypeError(
                f"{type(self).__name__} learns an energy, and {type(model).__name__} has none; "
                f"use objective=dv.Reconstruction()"
            )
        if self.noise_conditional != getattr(model, "noise_conditional", False):
            one, levels = "one energy of x", "one for each noise level"
            learned, has = (levels, one) if self.noise_conditional else (one, levels)
            use = "ScoreMatching" if self.noise_conditional else "NoiseConditionalScoreMatching"
            raise TypeError(
                f"{type(self).__name__} learns {learned}, and {type(model).__name__} has {has}; "
                f"use objective=dv.{use}()"
            )
        if self.needs_score and not getattr(model, "continuous", True):
            raise TypeError(
                f"{type(self).__name__} matches the score ∇ log p of the data, and the inputs of "
                f"{type(model).__name__} are binary, which have none; use "
                f"objective=dv.ContrastiveDivergence()"
            )

    def build_for(self, model: Any) -> None:
        """Create state that depends on the model, such as chains, once the model is built."""

    @abc.abstractmethod
    def compute(self, model: Any, z: tf.Tensor, training: bool) -> ObjectiveValue:
        """The loss of a batch.

        Args:
            model: the `EnergyModel`, asked for derivatives in normalised units.
            z: normalised inputs, (batch, ...).
            training: False in `evaluate`.
        """

    def save_own_variables(self, store: Any) -> None:
        """Save the state, random generators too, which Keras would leave out.

        Keras saves that of layers within, such as chains.
        """
        for index, variable in enumerate(self._own_variables()):
            store[str(index)] = keras.ops.convert_to_numpy(variable)

    def load_own_variables(self, store: Any) -> None:
        """Restore what `save_own_variables` saved."""
        own = self._own_variables()
        if len(store.keys()) != len(own):
            raise ValueError(
                f"{self.name} has {len(own)} state variables, but the file holds "
                f"{len(store.keys())}; it was saved with another objective, or by "
                f"an older version of this library"
            )
        for index, variable in enumerate(own):
            variable.assign(store[str(index)])

    def _own_variables(self) -> list[Any]:
        """All state but the weights of layers within."""
        within = {id(v) for layer in all_layers(self)[1:] for v in layer.weights}
        return [variable for variable in self.variables if id(variable) not in within]
