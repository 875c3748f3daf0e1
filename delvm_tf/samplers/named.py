"""Samplers by name."""

import inspect
from collections.abc import Mapping
from typing import Any

from delvm_tf.samplers.annealed import AnnealedLangevin
from delvm_tf.samplers.gibbs import Gibbs
from delvm_tf.samplers.langevin import Langevin
from delvm_tf.samplers.levels.level_langevin import LevelLangevin
from delvm_tf.samplers.levels.level_mala import LevelMALA
from delvm_tf.samplers.levels.probability_flow import ProbabilityFlow
from delvm_tf.samplers.levels.reverse_diffusion import ReverseDiffusion
from delvm_tf.samplers.mala import MALA
from delvm_tf.samplers.sampler import Sampler

SAMPLERS: dict[str, type[Sampler]] = {
    "gibbs": Gibbs,
    "langevin": Langevin,
    "mala": MALA,
    "annealed": AnnealedLangevin,
    "flow": ProbabilityFlow,
    "reverse_diffusion": ReverseDiffusion,
    "level_langevin": LevelLangevin,
    "level_mala": LevelMALA,
}


def get_sampler(sampler: str | Mapping[str, Any] | Sampler) -> Sampler:
    """A sampler from its name, with its default settings, from a table, or as it is.

    Args:
        sampler: `"langevin"`, `{"name": "langevin", "step_size": 0.03}` or `Langevin(0.03)`.

    Raises:
        ValueError: for an unknown name or setting.
        TypeError: for anything else.

    Examples:
        >>> dv.samplers.get_sampler({"name": "langevin", "step_size": 0.03}).step_size
        0.03
    """
    if isinstance(sampler, Sampler):
        return sampler
    if isinstance(sampler, str):
        sampler = {"name": sampler}
    if not isinstance(sampler, Mapping):
        raise TypeError(f"expected a sampler such as dv.samplers.Langevin(), got {sampler!r}")
    settings = dict(sampler)
    name = settings.pop("name", None)
    if name not in SAMPLERS:
        raise ValueError(f"unknown sampler {name!r}; expected one of {', '.join(SAMPLERS)}")
    known = inspect.signature(SAMPLERS[name]).parameters
    if unknown := sorted(settings.keys() - known.keys()):
        raise ValueError(
            f"the sampler {name!r} has no setting {', '.join(unknown)}; it has {', '.join(known)}"
        )
    return SAMPLERS[name](**settings)
