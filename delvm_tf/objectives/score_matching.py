"""Score matching."""

import warnings
from typing import Any

import keras
import tensorflow as tf

from delvm_tf.curvature import TRACES, resolve_trace
from delvm_tf.curvature.curvature import sum_per_example
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
        trace: `"auto"` (the closed form where there is one), `"closed_form"`, `"basis"`,
            `"hutchinson"` or `"nested_tape"`.
        probes: random directions per example for `"hutchinson"`.
        evaluation_trace: trace used by `evaluate` and for validation; that of training by default.
        sign: `"corrected"`, or `"as_printed"` for ½‖∇E‖² + tr ∇²E of Guo and Kim (2023), eq. 8,
            which is not score matching and has no minimum; it warns.
        seed: seed of the random directions.

    Raises:
        ValueError: for an unknown trace or sign, or a number of probes below one.

    Example:
        >>> model = dv.DELVM(dv.networks.ffnn((256,)), objective=dv.ScoreMatching())
    """

    term_names = ("half_squared_score", "energy_laplacian")

    def __init__(
        self,
        trace: str = "auto",
        probes: int = 1,
        evaluation_trace: str | None = None,
        sign: str = "corrected",
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        for name, value in (("trace", trace), ("evaluation_trace", evaluation_trace or "auto")):
            if value not in ("auto", *TRACES):
                raise ValueError(f"unknown {name} {value!r}; expected auto, {', '.join(TRACES)}")
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
        self.probes = probes
        self.evaluation_trace = evaluation_trace
        self.sign = sign
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def compute(self, model: Any, z: tf.Tensor, training: bool) -> ObjectiveValue:
        """½‖∇E‖² − tr ∇²E of each example (plus, with the printed sign)."""
        wanted = self.trace if training else self.evaluation_trace or self.trace
        name = resolve_trace(wanted, model.potential, tuple(z.shape[1:]))
        curvature = model.energy_curvature(
            z, lambda potential, x: TRACES[name](potential, x, self.seed_generator, self.probes)
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

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {
            **super().get_config(),
            "trace": self.trace,
            "probes": self.probes,
            "evaluation_trace": self.evaluation_trace,
            "sign": self.sign,
            "seed": self.seed,
        }
