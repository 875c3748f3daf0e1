"""First and second input derivatives of a potential, the ingredients of score matching.

A *potential* g(f(x)) gives one number per example, here minus the non-quadratic part of an energy.
Each trace method returns the network's output, the potential's input gradient and its Laplacian,
the trace of the input Hessian, differentiable in the weights. They differ in cost, and in whether
they are exact: docs/explanation/traces.md compares them.
"""

from delvm_tf.curvature.boxes import map_boxes, union
from delvm_tf.curvature.curvature import Curvature, Potential
from delvm_tf.curvature.jets import Jet
from delvm_tf.curvature.log_partition import GaussianLogPartition, MixtureLogPartition
from delvm_tf.curvature.outer import (
    ElementwiseOuter,
    HalfSquaredNorm,
    Outer,
    SoftplusSum,
)
from delvm_tf.curvature.plan import TRACES, Plan, TraceSettings
from delvm_tf.curvature.receptive_field import (
    pointwise,
    receptive_field,
    register_receptive_field,
)
from delvm_tf.curvature.taylor import elementwise_rule, linear_rule, register_rule
from delvm_tf.curvature.traces import compute_trace, plan_trace

__all__ = [
    "TRACES",
    "Curvature",
    "ElementwiseOuter",
    "GaussianLogPartition",
    "HalfSquaredNorm",
    "Jet",
    "MixtureLogPartition",
    "Outer",
    "Plan",
    "Potential",
    "SoftplusSum",
    "TraceSettings",
    "compute_trace",
    "elementwise_rule",
    "linear_rule",
    "map_boxes",
    "plan_trace",
    "pointwise",
    "receptive_field",
    "register_receptive_field",
    "register_rule",
    "union",
]
