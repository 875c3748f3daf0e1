"""Samplers by name."""

from delvm_tf.samplers.annealed import AnnealedLangevin
from delvm_tf.samplers.gibbs import Gibbs
from delvm_tf.samplers.langevin import Langevin
from delvm_tf.samplers.mala import MALA
from delvm_tf.samplers.sampler import Sampler

SAMPLERS: dict[str, type[Sampler]] = {
    "gibbs": Gibbs,
    "langevin": Langevin,
    "mala": MALA,
    "annealed": AnnealedLangevin,
}


def get_sampler(sampler: str | Sampler) -> Sampler:
    """The sampler of a name, with default settings; samplers are returned as they are."""
    if isinstance(sampler, Sampler):
        return sampler
    if not isinstance(sampler, str):
        raise TypeError(f"expected a sampler such as dv.samplers.Langevin(), got {sampler!r}")
    if sampler not in SAMPLERS:
        raise ValueError(f"unknown sampler {sampler!r}; expected one of {', '.join(SAMPLERS)}")
    return SAMPLERS[sampler]()
