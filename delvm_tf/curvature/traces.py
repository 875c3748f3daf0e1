"""The trace methods by name, and the choice between them."""

import logging
import math
from collections.abc import Callable

import keras
import tensorflow as tf

from delvm_tf.curvature.closed_form import affine_stage, closed_form
from delvm_tf.curvature.curvature import Curvature, Potential
from delvm_tf.curvature.nested_tape import nested_tape
from delvm_tf.curvature.probing import basis, hutchinson

logger = logging.getLogger(__name__)

TraceMethod = Callable[[Potential, tf.Tensor, keras.random.SeedGenerator, int], Curvature]

TRACES: dict[str, TraceMethod] = {
    "closed_form": lambda potential, x, seed, probes: closed_form(potential, x),
    "basis": lambda potential, x, seed, probes: basis(potential, x),
    "hutchinson": hutchinson,
    "nested_tape": lambda potential, x, seed, probes: nested_tape(potential, x),
}

MAX_BASIS_PROBES = 64  # up to here `auto` prefers the exact trace to an estimate


def resolve_trace(trace: str, potential: Potential, input_shape: tuple[int, ...]) -> str:
    """The name of the method that `trace` stands for.

    `"auto"` is the closed form where there is one, basis probes where they are few, and one random
    probe otherwise.

    Args:
        trace: a key of `TRACES` or `"auto"`.
        potential: the potential to be differentiated.
        input_shape: shape of one input.
    """
    if trace != "auto":
        return trace
    reason = affine_stage(potential)
    if not isinstance(reason, str):
        return "closed_form"
    d = math.prod(input_shape)
    chosen = "basis" if d <= MAX_BASIS_PROBES else "hutchinson"
    logger.info("trace='auto' uses '%s' for %d inputs, as %s", chosen, d, reason)
    return chosen
