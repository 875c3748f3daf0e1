"""Recipes of models that draw images: how they are trained, and how they are drawn from."""

import dataclasses
from typing import Any

from delvm_tf.catalog import OBJECTIVES, Recipe
from delvm_tf.samplers import Sampler, get_sampler


@dataclasses.dataclass(frozen=True)
class GenerationRecipe(Recipe):
    """A recipe, and how images are drawn.

    Attributes:
        sampler: its `name` and settings; the model's usual one if empty.
        steps: of each chain.
        train_steps: of the optimizer, in place of epochs.
        passes: over the data at most, however many steps that is; None for any number. What goes
            over few images too often remembers them.
    """

    sampler: dict[str, Any] = dataclasses.field(default_factory=dict)
    steps: int = 1000
    train_steps: int = 6000
    passes: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("steps", "train_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if self.passes is not None and not self.passes > 0:
            raise ValueError(f"passes must be positive, got {self.passes}")

    def steps_on(self, n: int) -> int:
        """Steps of the optimizer on n examples."""
        if self.passes is None:
            return self.train_steps
        most = self.passes * n / min(self.batch_size, n)
        return max(1, min(self.train_steps, round(most)))

    def made_sampler(self) -> Sampler | None:
        """The sampler, or None for the model's usual one; ValueError for an unknown one."""
        return get_sampler(self.sampler) if self.sampler else None

    @property
    def text(self) -> str:
        """What decides training and drawing, on one line."""
        named = {**self.model_settings, **self.objective_settings}
        settings = ", ".join(f"{name} {_words(value)}" for name, value in named.items())
        passes = "" if self.passes is None else f" or {self.passes:g} passes, whichever are fewer"
        return (
            f"{self.model}, {self.objective_name}, {settings}; {self.train_steps} steps{passes}, "
            f"batches of {self.batch_size}, learning rate {self.learning_rate}; drawn by "
            f"{self.steps} steps of {_words(self.sampler) if self.sampler else 'the usual sampler'}"
        )

    @property
    def of_images(self) -> bool:
        """Whether the network takes images, and not vectors of pixels."""
        return "filters" in self.model_settings or "channels" in self.model_settings

    @property
    def of_all_levels(self) -> bool:
        """Whether the model is an energy of all noise levels."""
        return OBJECTIVES[self.objective_name].noise_conditional


def _words(value: Any) -> str:
    return " ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
