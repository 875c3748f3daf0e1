"""Markov chains on an energy, and flows and chains over the energies of all noise levels."""

from delvm_tf.samplers.annealed import AnnealedLangevin
from delvm_tf.samplers.chain import run_chain
from delvm_tf.samplers.gibbs import Gibbs
from delvm_tf.samplers.langevin import Langevin
from delvm_tf.samplers.levels.level_langevin import LevelLangevin
from delvm_tf.samplers.levels.level_mala import LevelMALA
from delvm_tf.samplers.levels.level_sampler import LevelSampler
from delvm_tf.samplers.levels.probability_flow import ProbabilityFlow
from delvm_tf.samplers.levels.reverse_diffusion import ReverseDiffusion
from delvm_tf.samplers.mala import MALA
from delvm_tf.samplers.named import get_sampler
from delvm_tf.samplers.sampler import Sampler, Transition
from delvm_tf.samplers.sampling import SamplingDiverged, SamplingRun, sample

__all__ = [
    "MALA",
    "AnnealedLangevin",
    "Gibbs",
    "Langevin",
    "LevelLangevin",
    "LevelMALA",
    "LevelSampler",
    "ProbabilityFlow",
    "ReverseDiffusion",
    "Sampler",
    "SamplingDiverged",
    "SamplingRun",
    "Transition",
    "get_sampler",
    "run_chain",
    "sample",
]
