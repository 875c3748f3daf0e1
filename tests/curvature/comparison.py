"""One comparison for all trace methods: what they return, and its gradient in the weights."""

import numpy as np
import tensorflow as tf

from delvm_tf.curvature import Outer
from delvm_tf.curvature.nested_tape import nested_tape


class LogSumExp(Outer):
    """An outer function that mixes all outputs and has no formulas of its own."""

    def __call__(self, f):
        return tf.reduce_logsumexp(f, axis=list(range(1, f.shape.rank)))

    def mean_hidden(self, f):
        return tf.nn.softmax(f)


def loss_and_gradients(method, potential, x, examples):
    """A weighted sum of everything a method returns, and its gradient in the weights."""
    weights = tf.constant(np.linspace(0.3, 1.7, examples))
    with tf.GradientTape() as tape:
        curvature = method(potential, x)
        squared = tf.reduce_sum(tf.reshape(tf.square(curvature.gradient), (examples, -1)), axis=1)
        loss = tf.reduce_sum(weights * (0.5 * squared + curvature.laplacian))
    variables = [v.value for v in potential.network.trainable_variables]
    return curvature, loss, tape.gradient(loss, variables, unconnected_gradients="zero")


def assert_same(method, potential, x, expected=nested_tape, graph=False):
    """Float64 results of a method and of another; in a graph for batches of unknown size."""
    signature = [tf.TensorSpec((None, *x.shape[1:]), x.dtype)]

    def run(x):
        return loss_and_gradients(method, potential, tf.ensure_shape(x, signature[0].shape), size)

    size = len(x)
    compiled = tf.function(run, input_signature=signature) if graph else run
    got, loss, gradients = compiled(x)
    wanted, wanted_loss, wanted_gradients = loss_and_gradients(expected, potential, x, size)
    np.testing.assert_allclose(got.output, wanted.output, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(got.gradient, wanted.gradient, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(got.laplacian, wanted.laplacian, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(loss, wanted_loss, rtol=1e-10)
    for gradient, wanted_gradient in zip(gradients, wanted_gradients, strict=True):
        atol = 1e-10 * np.abs(wanted_gradient).max() + 1e-13
        np.testing.assert_allclose(gradient, wanted_gradient, rtol=1e-9, atol=atol)
