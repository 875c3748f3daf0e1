"""Contrastive divergence of a stack of Boltzmann machines."""

from typing import Any

import keras
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.curvature.sums import sum_per_example
from delvm_tf.objectives.objective import Objective, ObjectiveValue

UPPER_INPUTS = ("mean", "sample")


class StackedContrastiveDivergence(Objective):
    """The sum of the contrastive divergences of all machines of a stack that are trainable.

    Each machine has an objective and chains of its own, and takes the hidden means (or samples) of
    the one below as data, through which no gradient flows. So the machines do not disturb each
    other, and training them at once ends where greedy training does. Cost: the sum over layers.

    A model makes one of these from the objective it is given; it is not saved but made again.

    Args:
        layers: machines in the stack.
        first: number, from 1, of the first machine that is trained.
        upper_inputs: `"mean"` or, in training, `"sample"` of the hidden units below.
        seed: of the samples.
    """

    needs_score = False

    def __init__(
        self, layers: int, first: int = 1, upper_inputs: str = "mean", seed: int | None = None
    ):
        super().__init__(name="stacked_contrastive_divergence")
        if upper_inputs not in UPPER_INPUTS:
            raise ValueError(
                f"upper_inputs must be one of {', '.join(UPPER_INPUTS)}, got {upper_inputs!r}"
            )
        self.first = first
        self.term_names = tuple(f"layer_{number}" for number in range(first, layers + 1))
        self.upper_inputs = upper_inputs
        self.seed_generator = keras.random.SeedGenerator(seed)

    def compute(self, model: Any, z: tf.Tensor, training: bool) -> ObjectiveValue:
        """The sum of the machines' losses, and each of them as a term.

        Raises:
            ValueError: if no machine is trainable.
        """
        data, terms = z, {}
        seed = noise.next_seed(self.seed_generator)
        for number, machine in enumerate(model.machines, start=1):
            if number >= self.first and machine.trainable:
                value = machine.objective.compute(machine, data, training)
                terms[f"layer_{number}"] = value.loss
            if training and self.upper_inputs == "sample":
                data = machine.sample_hidden(data, noise.fold(seed, number))
            else:
                data = machine.normalized_hidden(data)
            data = tf.stop_gradient(data)
        if not terms:
            raise ValueError(f"no layer of {model.name} is trainable; set trainable = True on one")
        return ObjectiveValue(
            loss=tf.add_n(list(terms.values())),
            terms=terms,
            reconstruction_error=sum_per_example(tf.square(z - model.normalized_reconstruction(z))),
        )
