"""A model with everything that decides what training makes of it."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import keras

from delvm_tf.catalog.models import MODELS, make_model
from delvm_tf.catalog.objectives import OBJECTIVES, make_objective
from delvm_tf.models.reconstruction_model import ReconstructionModel
from delvm_tf.training.layerwise import fit_layerwise


@dataclasses.dataclass(frozen=True)
class Specification:
    """A model, its objective and its training by name and number, so that it can be written down.

    Attributes:
        model: a name in `MODELS`.
        objective: a name in `OBJECTIVES`; the model's usual one if None.
        model_settings: for `make_model`.
        objective_settings: for `make_objective`.
        epochs: of training; of each layer, if it is layer by layer.
        batch_size: examples of a step.
        learning_rate: of Adam; one for all layers or one for each, if it is layer by layer.
        clipnorm: bound on the norm of each gradient, or None.
        layerwise: whether layers are trained one at a time.

    Raises:
        ValueError: for numbers out of range, or several learning rates of layers that are trained
            together.

    Examples:
        >>> specification = dv.catalog.Specification(
        ...     "delvm", "denoising", {"units": [4]}, {"sigma": 1.0}, epochs=2
        ... )
        >>> specification.title
        'DSM-DELVM'
        >>> specification.train(x, seed=0).energy(x).shape
        TensorShape([64])
    """

    model: str = "delvm"
    objective: str | None = None
    model_settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    objective_settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    epochs: int = 10
    batch_size: int = 100
    learning_rate: float | tuple[float, ...] = 1e-3
    clipnorm: float | None = None
    layerwise: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise ValueError(f"epochs must be 0 or more, got {self.epochs}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, got {self.batch_size}")
        rates: Sequence[float] = (
            self.learning_rate if isinstance(self.learning_rate, Sequence) else [self.learning_rate]
        )
        if rates is self.learning_rate and not self.layerwise:
            raise ValueError(
                f"learning_rate must be one number unless layerwise is true, got "
                f"{self.learning_rate}"
            )
        if not rates or not all(0 < rate < math.inf for rate in rates):
            raise ValueError(f"learning_rate must be positive and finite, got {self.learning_rate}")
        if self.clipnorm is not None and not 0 < self.clipnorm < math.inf:
            raise ValueError(f"clipnorm must be positive and finite, got {self.clipnorm}")

    @property
    def objective_name(self) -> str:
        """The objective's name, also where it is the usual one."""
        return self.objective or MODELS[self.model].objectives[0]

    @property
    def title(self) -> str:
        """What tables call the model, such as SM-DELVM."""
        kind = MODELS[self.model]
        if kind.objectives == (self.objective_name,):
            title = kind.title
        else:
            title = f"{OBJECTIVES[self.objective_name].title}-{kind.title}"
        if self.objective_settings.get("sign") == "as_printed":
            title += " (sign as printed)"
        return title + (", layer by layer" if self.layerwise else "")

    def make(self, input_shape: tuple[int, ...], seed: int) -> ReconstructionModel:
        """The model, untrained.

        Raises:
            ValueError: for unknown names and settings.
            TypeError: if the objective makes no sense for the model.
        """
        objective = make_objective(self.objective_name, **{"seed": seed, **self.objective_settings})
        return make_model(
            self.model, objective, seed=seed, input_shape=input_shape, **self.model_settings
        )

    def train(
        self,
        x: Any,
        seed: int,
        verbose: Any = 0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> ReconstructionModel:
        """The model, adapted and trained on x, an array in raw units.

        Raises:
            TrainingDiverged: if it ran away.
        """
        model = self.adapted(x, seed)
        self.fit(model, x, verbose, callbacks)
        return model

    def adapted(self, x: Any, seed: int) -> ReconstructionModel:
        """The model, adapted to x, an array in raw units, but untrained."""
        keras.utils.set_random_seed(seed)
        model = self.make(tuple(x.shape[1:]), seed)
        model.adapt(x)
        return model

    def fit(
        self,
        model: ReconstructionModel,
        x: Any,
        verbose: Any = 0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        """Train an adapted model on x.

        Raises:
            TrainingDiverged: if it ran away.
        """
        common = {"batch_size": self.batch_size, "verbose": verbose, "callbacks": list(callbacks)}
        if self.layerwise:
            with model.distribute_strategy.scope():
                optimizer = keras.optimizers.Adam(clipnorm=self.clipnorm)
            fit_layerwise(
                model, x, epochs=self.epochs, learning_rates=self.learning_rate,
                optimizer=optimizer, **common,
            )  # fmt: skip
            return
        with model.distribute_strategy.scope():
            model.compile(keras.optimizers.Adam(self.learning_rate, clipnorm=self.clipnorm))
        model.fit(x, epochs=self.epochs, **common)
