"""Why the gradient of the nested tape can be NaN, and that the library's is not."""

import numpy as np
import pytest
import reference
import tensorflow as tf

from delvm_tf.curvature import HalfSquaredNorm, Potential
from delvm_tf.curvature.nested_tape import nested_tape


def weight_gradient(potential, network, x):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(nested_tape(potential, x).laplacian)
    return tape.gradient(loss, network.trainable_variables[0].value)


def test_third_derivative_of_pow_is_nan_at_zero_and_that_of_square_is_not():
    def third(square):
        x = tf.constant(0.0)
        with tf.GradientTape() as t3:
            t3.watch(x)
            with tf.GradientTape() as t2:
                t2.watch(x)
                with tf.GradientTape() as t1:
                    t1.watch(x)
                    y = square(x)
                first = t1.gradient(y, x)
            second = t2.gradient(first, x)
        return t3.gradient(second, x, unconnected_gradients="zero")

    assert np.isnan(third(lambda x: x**2))
    assert third(tf.square) == 0.0


@pytest.mark.parametrize("graph", [False, True])
def test_relu_convolution_is_nan_with_pow_and_finite_with_the_librarys_square(graph, rng):
    network = reference.randomize(reference.conv((3,), "relu", (5, 5, 1), padding="same"), rng)
    x = tf.constant(rng.normal(size=(2, 5, 5, 1)))

    def naive(z):
        return 0.5 * tf.reduce_sum(tf.reshape(network(z), (len(x), -1)) ** 2, axis=1)

    ours = Potential(network, HalfSquaredNorm(), "float64")
    gradients = [
        (tf.function(weight_gradient) if graph else weight_gradient)(potential, network, x)
        for potential in (naive, ours)
    ]
    assert np.isnan(gradients[0]).any()
    assert np.isfinite(gradients[1]).all()
    assert np.abs(gradients[1]).max() > 0
