"""Score matching."""

import warnings
from typing import Any

import keras
import tensorflow as tf

from delvm_tf.curvature import TRACES, Plan, TraceSettings, compute_trace, plan_trace
from delvm_tf.curvature.probes import lattice_spacing
from delvm_tf.curvature.sums import sum_per_example
from delvm_tf.objectives.objective import Objective, ObjectiveValue

SIGNS = ("corrected", "as_printed")


class PrintedSignWarning(UserWarning):
    """The objective was chosen with the sign that Guo and Kim (2023) print."""


@keras.saving.register_keras_serializable(package="delvm_tf")
class ScoreMatching(Objective):
    """J = E[ ½‖∇ₓE‖² − tr ∇ₓ²E ], the Fisher divergence to the data up to a constant.

    Source: Hyvärinen (2005), eq. 4, for log p = −E − log Z. Exact with an exact trace. For
    piecewise-linear networks the second derivative at the kinks is ignored. Cost: that of the
    trace (see `delvm_tf.curvature`); with the closed form about an autoencoder's step.

    Args:
        trace: how tr ∇²E is computed. `"auto"`: exactly where that is cheap (one layer, few inputs)
            and otherwise by the widest lattice of random signs within `cost`. `"exact"`: exactly,
            in the cheapest way. Or by name: `"closed_form"`, `"lattice"`, `"basis"`,
            `"hutchinson"`, `"gaussian"`, `"nested_tape"`.
        spacing: for `"lattice"`: distance of the values that share a probe, one number or one per
            input axis; None for the network's receptive field, which is exact.
        probes: random directions per example, for `"hutchinson"` and `"gaussian"`.
        cost: what `"auto"` may spend on an estimate, in training steps of an autoencoder.
        memory_budget: GiB that the derivatives along the probes may take; what does not fit is
            computed in chunks, at 4/3 of the multiplications.
        evaluation_trace: trace used by `evaluate` and for validation, such as `"exact"`; that of
            training by default.
        sign: `"corrected"`, or `"as_printed"` for ½‖∇E‖² + tr ∇²E of Guo and Kim (2023), eq. 8,
            which is not score matching and has no minimum; it warns.
        seed: seed of the random directions.

    Raises:
        ValueError: for an unknown trace or sign, a spacing or number of probes below one, or a cost
            or memory budget that is not positive; in training, for an energy with a loop, such as
            a recurrent layer without `unroll=True`, which needs another objective.

    Examples:
        A network that gives 0 leaves a standard normal density, E = ½‖z‖², whose loss is ½‖z‖² − d:

        >>> network = dv.networks.ffnn((4,), kernel_initializer="zeros")
        >>> model = dv.DELVM(network, dv.ScoreMatching(), normalization="zscore")
        >>> model.adapt(x); model.compile("adam")
        >>> loss = model.evaluate(x, verbose=0, return_dict=True)["loss"]
        >>> round(loss, 4)  # the mean of ‖z‖² is d = 6
        -3.0
    """

    term_names = ("half_squared_score", "energy_laplacian")

    def __init__(
        self,
        trace: str = "auto",
        spacing: int | tuple[int, ...] | None = None,
        probes: int = 1,
        cost: float = 2.0,
        memory_budget: float = 2.0,
        evaluation_trace: str | None = None,
        sign: str = "corrected",
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        known = ("auto", "exact", *TRACES)
        for name, value in (("trace", trace), ("evaluation_trace", evaluation_trace or "auto")):
            if value not in known:
                raise ValueError(f"unknown {name} {value!r}; expected {', '.join(known)}")
        for name, amount in (("cost", cost), ("memory_budget", memory_budget)):
            if not isinstance(amount, int | float) or not amount > 0:
                raise ValueError(f"{name} must be a positive number, got {amount!r}")
        if spacing is not None:
            values = spacing if isinstance(spacing, tuple | list) else (spacing,)
            lattice_spacing((1,) * len(values), spacing)
        if sign not in SIGNS:
            raise ValueError(f"unknown sign {sign!r}; expected one of {', '.join(SIGNS)}")
        if not isinstance(probes, int) or probes < 1:
            raise ValueError(f"probes must be a positive integer, got {probes!r}")
        if sign == "as_printed":
            warnings.warn(
                "sign='as_printed' adds the trace of the Hessian, as Guo and Kim (2023) print it. "
                "This is not score matching: it has no minimum and lives on early stopping. "
                "Use it only to reproduce their figures.",
                PrintedSignWarning,
                stacklevel=2,
            )
            self.divergence_hint = (
                " The printed sign has no minimum: stop earlier, or use sign='corrected'."
            )
        self.trace = trace
        self.spacing = tuple(spacing) if isinstance(spacing, list) else spacing
        self.probes = probes
        self.cost = cost
        self.memory_budget = memory_budget
        self.evaluation_trace = evaluation_trace
        self.sign = sign
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def compute(self, model: Any, z: tf.Tensor, training: bool) -> ObjectiveValue:
        """½‖∇E‖² − tr ∇²E of each example (plus, with the printed sign)."""
        plan = self._plan(model, tuple(z.shape[1:]), training)
        curvature = model.energy_curvature(
            z, lambda potential, x: compute_trace(plan, potential, x, self.seed_generator)
        )
        squared_score = sum_per_example(tf.square(curvature.gradient))
        sign = 1.0 if self.sign == "as_printed" else -1.0
        half_squared_score = 0.5 * squared_score
        return ObjectiveValue(
            loss=half_squared_score + sign * curvature.laplacian,
            terms={
                "half_squared_score": half_squared_score,
                "energy_laplacian": curvature.laplacian,
            },
            reconstruction_error=squared_score,
        )

    def plan(self, model: Any, training: bool = True) -> Plan:
        """What will be computed for a model: method, probes, exact or not, expected cost.

        Args:
            model: a built `EnergyModel`.
            training: False for the plan of `evaluate`.

        Returns:
            A `Plan`, which prints as text.

        Raises:
            ValueError: if the model is not built yet, so that its network is not known; or if it
                runs a loop, as recurrent layers do, so that there is no trace.
        """
        shape = model.input_shape_or_none
        if shape is None:
            raise ValueError(
                f"{model.name} is not built, so its network is not known yet; call "
                f"model.adapt(x) or model.build((None, *shape)) first"
            )
        return self._plan(model, shape, training)

    def _plan(self, model: Any, shape: tuple[int, ...], training: bool) -> Plan:
        trace = self.trace if training else self.evaluation_trace or self.trace
        settings = TraceSettings(self.spacing, self.probes, self.cost, self.memory_budget)
        dtype = model.normalization.result_dtype
        return plan_trace(trace, model.potential, shape, settings, dtype)

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {
            **super().get_config(),
            "trace": self.trace,
            "spacing": self.spacing,
            "probes": self.probes,
            "cost": self.cost,
            "memory_budget": self.memory_budget,
            "evaluation_trace": self.evaluation_trace,
            "sign": self.sign,
            "seed": self.seed,
        }
