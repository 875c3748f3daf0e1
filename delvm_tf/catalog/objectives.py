"""The objectives by name."""

from collections.abc import Callable
from typing import Any, NamedTuple

from delvm_tf.catalog.settings import Setting, imported, parameters_of, settings_of
from delvm_tf.objectives.contrastive_divergence import ContrastiveDivergence
from delvm_tf.objectives.objective import Objective
from delvm_tf.samplers import Langevin


class ObjectiveKind(NamedTuple):
    """An objective that can be asked for by name.

    Attributes:
        title: what tables call it, short.
        maker: its module in `delvm_tf.objectives` and its class, or a function that makes it.
        noise_conditional: whether it is for models that know the noise level.

    Examples:
        >>> kind = dv.catalog.OBJECTIVES["persistent-cd"]
        >>> kind.title, [*kind.settings]
        ('PCD', ['k', 'chains'])
        >>> kind.make(k=5).persistent
        True
    """

    title: str
    maker: str | Callable[..., Objective]
    noise_conditional: bool = False

    @property
    def make(self) -> Callable[..., Objective]:
        """The objective from its settings."""
        return imported("objectives", self.maker) if isinstance(self.maker, str) else self.maker

    @property
    def settings(self) -> dict[str, Setting]:
        """What it can be told, as far as it can be written down."""
        return settings_of(self.make)


def persistent_cd(k: int = 1, chains: int = 100, seed: int | None = None) -> Objective:
    """Persistent contrastive divergence with the model's own sampler."""
    return ContrastiveDivergence(k, persistent=True, chains=chains, seed=seed)


def langevin_cd(
    k: int = 60,
    step_size: float = 1.0,
    noise_level: float = 7.5e-3,
    chains: int = 100,
    buffer: int = 5000,
    restart: float = 0.05,
    energy_regularization: float = 5e-3,
    data_noise: float = 3e-2,
    seed: int | None = None,
) -> Objective:
    """Langevin chains with a replay buffer, with the settings of Wu et al. (2021).

    Args:
        k: steps of the chains for each step of the optimizer.
        step_size: of `Langevin`.
        noise_level: of `Langevin`.
        chains: see `ContrastiveDivergence`, as for the others.
        buffer: see `ContrastiveDivergence`.
        restart: see `ContrastiveDivergence`.
        energy_regularization: see `ContrastiveDivergence`.
        data_noise: see `ContrastiveDivergence`.
        seed: of the chains.
    """
    return ContrastiveDivergence(
        k, persistent=True, sampler=Langevin(step_size, noise_level), chains=chains, buffer=buffer,
        restart=restart, data_noise=data_noise, energy_regularization=energy_regularization,
        seed=seed,
    )  # fmt: skip


OBJECTIVES = {
    "score-matching": ObjectiveKind("SM", "score_matching.ScoreMatching"),
    "sliced": ObjectiveKind("SSM", "sliced_score_matching.SlicedScoreMatching"),
    "denoising": ObjectiveKind("DSM", "denoising_score_matching.DenoisingScoreMatching"),
    "noise-conditional": ObjectiveKind(
        "DSM", "noise_conditional_score_matching.NoiseConditionalScoreMatching", True
    ),
    "dual": ObjectiveKind("dual SM", "dual_score_matching.DualScoreMatching", True),
    "cd": ObjectiveKind("CD", "contrastive_divergence.ContrastiveDivergence"),
    "persistent-cd": ObjectiveKind("PCD", persistent_cd),
    "langevin-cd": ObjectiveKind("Langevin CD", langevin_cd),
    "reconstruction": ObjectiveKind("RE", "reconstruction.Reconstruction"),
}
"""Objectives by name, an `ObjectiveKind` each; `make_objective` makes one.

Examples:
    >>> [*dv.catalog.OBJECTIVES]
    ['score-matching', 'sliced', 'denoising', 'noise-conditional', 'dual', 'cd', ...]
"""


def make_objective(name: str, **settings: Any) -> Objective:
    """An objective by name.

    Args:
        name: one of `OBJECTIVES`.
        **settings: of the objective; those that are None are left at their defaults.

    Raises:
        ValueError: for an unknown name, or a setting that the objective does not have.

    Examples:
        >>> objective = dv.catalog.make_objective("contrastive-divergence", k=5)
        Traceback (most recent call last):
            ...
        ValueError: unknown objective 'contrastive-divergence'; expected one of score-matching, ...
        >>> dv.catalog.make_objective("cd", k=5, seed=0).k
        5
    """
    if name not in OBJECTIVES:
        raise ValueError(f"unknown objective {name!r}; expected one of {', '.join(OBJECTIVES)}")
    given = {key: value for key, value in settings.items() if value is not None}
    known = parameters_of(OBJECTIVES[name].make)
    if unknown := sorted(given.keys() - known.keys()):
        raise ValueError(
            f"the objective {name!r} has no setting {', '.join(unknown)}; it has "
            f"{', '.join(sorted(known))}"
        )
    return OBJECTIVES[name].make(**given)
