"""Which trace is computed for a network, and what it costs."""

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from delvm_tf.curvature import cost
from delvm_tf.curvature.closed_form import affine_stage, require_affine_stage
from delvm_tf.curvature.curvature import Potential
from delvm_tf.curvature.graph import is_graph
from delvm_tf.curvature.outer import Outer
from delvm_tf.curvature.probes import Basis, Gaussian, Lattice, Probes, Rademacher
from delvm_tf.curvature.receptive_field import receptive_field
from delvm_tf.curvature.windows import (
    require_window_stages,
    window_bytes,
    window_multiplications,
    window_stages,
)

TRACES = ("closed_form", "windows", "lattice", "basis", "hutchinson", "gaussian", "nested_tape")
"""Ways to a trace, by name.

The trace itself: `closed_form` of one layer, `windows` of a chain of convolutions, `basis` and
`nested_tape` of everything, `lattice` from the receptive field on. Estimates without bias:
`hutchinson` by random signs, `gaussian` by normal directions, `lattice` at smaller spacings.

Examples:
    >>> dv.curvature.TRACES
    ('closed_form', 'windows', 'lattice', 'basis', 'hutchinson', 'gaussian', 'nested_tape')
"""
FEW_PROBES = 16  # up to here `auto` is exact whatever it costs


class TraceSettings(NamedTuple):
    """Settings of trace methods.

    Attributes:
        spacing: of a lattice, one number or one per input axis; None for the receptive field.
        probes: random directions for each example, for `hutchinson` and `gaussian`.
        cost: what `auto` may spend on an estimate, in steps of an autoencoder.
        memory_budget: GiB for the derivatives along the probes.

    Examples:
        >>> settings = dv.curvature.TraceSettings(probes=4)
        >>> cubes = lambda x: tf.reduce_sum(x**3, axis=1)
        >>> plan = dv.curvature.plan_trace("hutchinson", cubes, (6,), settings)
        >>> plan.probe_count, plan.exact
        (4, False)
    """

    spacing: int | tuple[int, ...] | None = None
    probes: int = 1
    cost: float = 2.0
    memory_budget: float = 2.0


@dataclass(frozen=True, repr=False)
class Plan:
    """What will be computed; print it to see.

    Attributes:
        method: a name in `TRACES`.
        exact: whether the value is the trace itself, not an unbiased estimate.
        probes: the probe directions, or None for methods without.
        cost: multiplications of a training step, in steps of an autoencoder; None if they cannot
            be counted.
        probe_bytes: memory of one probe of one example, in bytes, or None.
        settings: the settings it was made with.
        reason: why `auto` chose it, or "".

    Examples:
        >>> dv.ScoreMatching("exact").plan(model)
        trace     closed_form, exact
        cost      about 1 autoencoder steps
    """

    method: str
    exact: bool
    probes: Probes | None
    cost: float | None
    probe_bytes: int | None
    settings: TraceSettings
    reason: str = ""

    @property
    def probe_count(self) -> int:
        """Number of probe directions, 0 for methods without."""
        return 0 if self.probes is None else self.probes.count

    def __str__(self) -> str:
        spacing = f" of spacing {self.probes.spacing}" if isinstance(self.probes, Lattice) else ""
        lines = [f"trace     {self.method}{spacing}, {'exact' if self.exact else 'estimated'}"]
        if self.reason:
            lines.append(f"because   {self.reason}")
        if self.probes is not None:
            lines.append(f"probes    {self.probes.count}")
        cost = "unknown" if self.cost is None else f"about {self.cost:.3g} autoencoder steps"
        lines.append(f"cost      {cost}")
        if self.probes is not None and self.probe_bytes is not None:
            whole = self.probes.count * self.probe_bytes / 2**20
            lines.append(
                f"memory    {whole:.3g} MiB an example, in chunks within "
                f"{self.settings.memory_budget:g} GiB"
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


def make_plan(
    trace: str, potential: Any, input_shape: tuple[int, ...], settings: TraceSettings
) -> Plan:
    """The plan of a name in `TRACES`, of `"exact"` or of `"auto"`.

    `"exact"` is the closed form if there is one, and otherwise the fewest probes that give the
    trace itself. `"auto"` is the same if it costs no more than `settings.cost` or takes few probes,
    and otherwise the widest lattice within the cost, with random signs; at least one probe.

    Raises:
        ValueError: if a named method does not fit the network; the message says why.
    """
    if trace == "auto":
        return _automatic(potential, input_shape, settings)
    if trace == "exact":
        return _cheapest_exact(potential, input_shape, settings)
    return _named(trace, potential, input_shape, settings)


def _cheapest_exact(potential: Any, shape: tuple[int, ...], settings: TraceSettings) -> Plan:
    no_closed_form = affine_stage(potential)
    if not isinstance(no_closed_form, str):
        return _named("closed_form", potential, shape, settings)
    chosen = _named("lattice", potential, shape, settings._replace(spacing=None))
    if chosen.probe_count == math.prod(shape):
        chosen = _named("basis", potential, shape, settings)
    stages = window_stages(potential)
    if not isinstance(stages, str):
        windows = _named("windows", potential, shape, settings)
        fits = window_bytes(stages, shape[:2]) <= settings.memory_budget * 2**30
        if fits and (windows.cost or math.inf) < (chosen.cost or math.inf):
            chosen = windows
    return replace(chosen, reason=f"{no_closed_form}, so there is no closed form")


def _automatic(potential: Any, shape: tuple[int, ...], settings: TraceSettings) -> Plan:
    exact = _cheapest_exact(potential, shape, settings)
    few = exact.probe_count <= FEW_PROBES
    if few or (exact.cost is not None and exact.cost <= settings.cost):
        return exact
    chosen = _named("lattice", potential, shape, settings._replace(spacing=1))
    for spacing in range(2, max(shape) + 1):
        wider = _named("lattice", potential, shape, settings._replace(spacing=spacing))
        if wider.cost is None or wider.cost > settings.cost or wider.exact:
            break
        chosen = wider
    price = "" if exact.cost is None else f" and cost {exact.cost:.3g} autoencoder steps"
    return replace(
        chosen,
        reason=f"the exact trace would take {exact.probe_count} probes{price}, "
        f"more than cost={settings.cost:g}",
    )


def _named(trace: str, potential: Any, shape: tuple[int, ...], settings: TraceSettings) -> Plan:
    if trace == "closed_form":
        require_affine_stage(potential)
        return Plan(trace, True, None, 1.0, None, settings)
    if trace == "windows":
        return _windows(potential, shape, settings)
    if trace == "nested_tape":
        return Plan(trace, True, None, _nested_cost(potential, Basis(shape).count), None, settings)
    probes = make_probes(trace, potential, shape, settings)
    per_probe = None
    if _propagates(potential):
        per_probe = cost.tangent_bytes(potential.network)
    return Plan(trace, probes.exact, probes, _cost(potential, probes), per_probe, settings)


def _windows(potential: Any, shape: tuple[int, ...], settings: TraceSettings) -> Plan:
    stages = require_window_stages(potential)
    count = cost.multiplications(potential.network)
    forward = 0 if count is None else count.forward
    times = 1.0 + window_multiplications(stages, shape) / (2 * max(forward, 1))
    memory = window_bytes(stages, shape[:2])
    return Plan("windows", True, Basis(shape), times, memory // math.prod(shape[:2]), settings)


def make_probes(
    trace: str, potential: Any, shape: tuple[int, ...], settings: TraceSettings
) -> Probes:
    """The probe directions of a method."""
    if trace == "basis":
        return Basis(shape)
    if trace == "hutchinson":
        return Rademacher(shape, settings.probes)
    if trace == "gaussian":
        return Gaussian(shape, settings.probes)
    field = shape
    if _propagates(potential):
        field = receptive_field(potential, shape)
    return Lattice(shape, field if settings.spacing is None else settings.spacing, field)


def _propagates(potential: Any) -> bool:
    return isinstance(potential, Potential) and is_graph(potential.network)


def _cost(potential: Any, probes: Probes) -> float | None:
    """(2F + P·T)/2F: value and gradient, and P probes of T multiplications each.

    None if the outer function defines no quadratic form, whose cost is then unknown.
    """
    if not _propagates(potential):
        return None
    if type(potential.outer).quadratic_form is Outer.quadratic_form:
        return None
    count = cost.multiplications(potential.network)
    if count is None or count.forward == 0:
        return None
    per_probe = count.tangent if probes.shared else count.forward
    return 1.0 + probes.count * per_probe / (2 * count.forward)


def _nested_cost(potential: Any, d: int) -> float | None:
    """Value and gradient, and a reverse pass through both for each of d inputs."""
    return 1.0 + d * cost.DIFFERENTIATION / 2 if _propagates(potential) else None
