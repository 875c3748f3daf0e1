"""The trace methods by name: making a plan for a network and carrying it out."""

import logging
from typing import Any
from weakref import WeakKeyDictionary

import tensorflow as tf
from keras.random import SeedGenerator

from delvm_tf.curvature.closed_form import closed_form
from delvm_tf.curvature.curvature import Curvature, Potential
from delvm_tf.curvature.graph import structure_key
from delvm_tf.curvature.loops import require_no_loop
from delvm_tf.curvature.nested_tape import nested_tape
from delvm_tf.curvature.plan import Plan, TraceSettings, make_plan
from delvm_tf.curvature.probing import trace_by_probes
from delvm_tf.curvature.windows import trace_by_windows

logger = logging.getLogger(__name__)

_PLANS: WeakKeyDictionary[Any, dict[Any, Plan]] = WeakKeyDictionary()


def plan_trace(
    trace: str,
    potential: Any,
    input_shape: tuple[int, ...],
    settings: TraceSettings,
    dtype: Any = "float32",
) -> Plan:
    """The plan of a name (see `make_plan`), made once for a potential as it is.

    Args:
        trace: a name in `TRACES`, `"exact"` or `"auto"`.
        potential: the function to be differentiated.
        input_shape: shape of one input.
        settings: of the method.
        dtype: type of the inputs of a function that is not a `Potential`.

    Raises:
        ValueError: if the named method does not fit the network, or the network runs a loop; the
            message says why and what to use.

    Examples:
        >>> network = dv.networks.ffnn((4,), input_shape=(6,))
        >>> potential = dv.curvature.Potential(network, dv.curvature.HalfSquaredNorm())
        >>> dv.curvature.plan_trace("auto", potential, (6,), dv.curvature.TraceSettings()).method
        'closed_form'
    """
    plans = _PLANS.setdefault(potential, {})
    key = (trace, input_shape, settings, structure_key(getattr(potential, "network", None)))
    if key not in plans:
        dtype = potential.dtype if isinstance(potential, Potential) else dtype
        require_no_loop(f"trace={trace!r}", potential, input_shape, dtype)
        plans[key] = make_plan(trace, potential, input_shape, settings)
        if trace in ("auto", "exact"):
            logger.info("trace=%r:\n%s", trace, plans[key])
    return plans[key]


def compute_trace(plan: Plan, potential: Any, x: tf.Tensor, seed: SeedGenerator) -> Curvature:
    """Output, gradient and Laplacian of a potential as planned.

    Args:
        plan: what to compute.
        potential: the function to differentiate, (batch, ...) to (batch,).
        x: inputs, (batch, ...), of known shape except for the batch.
        seed: source of random probes; not used by methods without.

    Returns:
        The `Curvature`, differentiable in the weights.

    Examples:
        The Laplacian of Σ xᵢ³ is 6 Σ xᵢ:

        >>> cubes = lambda x: tf.reduce_sum(x**3, axis=1)
        >>> plan = dv.curvature.plan_trace("exact", cubes, (2,), dv.curvature.TraceSettings())
        >>> seed = keras.random.SeedGenerator(0)
        >>> found = dv.curvature.compute_trace(plan, cubes, tf.constant([[1.0, 2.0]]), seed)
        >>> found.laplacian.numpy()
        array([18.], dtype=float32)
    """
    if plan.method == "closed_form":
        return closed_form(potential, x)
    if plan.method == "windows":
        return trace_by_windows(potential, x, plan.settings.memory_budget)
    if plan.probes is None:
        return nested_tape(potential, x)
    return trace_by_probes(potential, x, plan.probes, seed, plan.settings.memory_budget)
