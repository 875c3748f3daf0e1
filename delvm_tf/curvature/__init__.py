"""First and second input derivatives of a potential: what score matching is made of.

A *potential* is a function g(f(x)) of a batch that returns one number per example, here minus the
non-quadratic part of an energy. Each trace method returns its input gradient and its Laplacian,
the trace of the input Hessian, differentiable in the weights. They differ only in cost:

| method        | exact | cost, in passes through the network  | needs                          |
|---------------|-------|--------------------------------------|--------------------------------|
| `closed_form` | yes   | about one autoencoder step           | one affine layer + activations |
| `basis`       | yes   | d forward passes                     | any network                    |
| `hutchinson`  | no    | one forward pass a probe             | any network                    |
| `nested_tape` | yes   | d reverse-over-reverse passes        | any network; the reference     |
"""

from delvm_tf.curvature.curvature import Curvature, Potential
from delvm_tf.curvature.outer import ElementwiseOuter, HalfSquaredNorm, Outer, SoftplusSum
from delvm_tf.curvature.taylor import register_rule
from delvm_tf.curvature.traces import TRACES, resolve_trace

__all__ = [
    "TRACES",
    "Curvature",
    "ElementwiseOuter",
    "HalfSquaredNorm",
    "Outer",
    "Potential",
    "SoftplusSum",
    "register_rule",
    "resolve_trace",
]
