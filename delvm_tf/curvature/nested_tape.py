"""The reference method: nested gradient tapes and the full Hessian of every example.

Cost: d reverse-over-reverse passes and d² numbers per example. Every other method is tested against
this one in float64.

Together with the gradient in the weights, nested tapes differentiate three times. The third
derivative of `tf.pow` (`f ** 2`) is NaN at zero, the value of inactive ReLU units: 2·1·0·0⁻¹. So
the library squares with `tf.square`, whose third derivative is zero; do the same in your
potentials.
"""

import math

import tensorflow as tf

from delvm_tf.curvature.curvature import Curvature, PotentialFunction, output_and_value
from delvm_tf.curvature.differentiability import require_differentiable_gradient


def nested_tape(potential: PotentialFunction, x: tf.Tensor) -> Curvature:
    """Gradient and trace of the full Hessian, by `tf.GradientTape.batch_jacobian`.

    TensorFlow cannot vectorise the derivatives of grouped convolutions; use `basis` for those.

    Args:
        potential: the function to differentiate, (batch, ...) to (batch,).
        x: inputs, (batch, ...), of known shape except for the batch.
    """
    spec = tf.TensorSpec((None, *x.shape[1:]), x.dtype)
    require_differentiable_gradient("a trace", potential, [spec])
    d = math.prod(x.shape[1:])
    with tf.GradientTape() as hessian_tape:
        hessian_tape.watch(x)
        with tf.GradientTape() as gradient_tape:
            gradient_tape.watch(x)
            output, u = output_and_value(potential, x)
        gradient = gradient_tape.gradient(u, x)
    hessian = hessian_tape.batch_jacobian(
        gradient, x, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    return Curvature(output, gradient, tf.linalg.trace(tf.reshape(hessian, (-1, d, d))))
