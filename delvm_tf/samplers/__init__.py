"""Markov chains on an energy: Gibbs, Langevin, Metropolis-adjusted and annealed Langevin."""

from delvm_tf.samplers.annealed import AnnealedLangevin
from delvm_tf.samplers.chain import run_chain
from delvm_tf.samplers.gibbs import Gibbs
from delvm_tf.samplers.langevin import Langevin
from delvm_tf.samplers.mala import MALA
from delvm_tf.samplers.named import get_sampler
from delvm_tf.samplers.sampler import Sampler, Transition
from delvm_tf.samplers.sampling import SamplingDiverged, SamplingRun, sample

__all__ = [
    "MALA",
    "AnnealedLangevin",
    "Gibbs",
    "Langevin",
    "Sampler",
    "SamplingDiverged",
    "SamplingRun",
    "Transition",
    "get_sampler",
    "run_chain",
    "sample",
]
