"""Slow and obvious float64 derivatives, written apart from the library."""

import keras
import numpy as np
import tensorflow as tf


def randomize(network, rng, spread=0.4):
    """Give every weight of a network a random value, biases included."""
    network.set_weights([rng.normal(size=w.shape) * spread for w in network.get_weights()])
    return network


def half_squared_norm_derivatives(network, x):
    """∇½‖f‖² and tr ∇²½‖f‖² one output and one input at a time: Jᵀf and ‖J‖² + Σ fₖ Δfₖ."""
    gradients, laplacians = [], []
    for example in np.asarray(x):
        point = tf.constant(example.reshape(-1))

        def f(p, shape=example.shape):
            return tf.reshape(network(tf.reshape(p, (1, *shape))), (-1,))

        with tf.GradientTape(persistent=True) as second:
            second.watch(point)
            with tf.GradientTape(persistent=True) as first:
                first.watch(point)
                outputs = tf.unstack(f(point))
            rows = [first.gradient(output, point) for output in outputs]
            rows = [tf.zeros_like(point) if row is None else row for row in rows]
        values = np.array([float(o) for o in outputs])
        jacobian = np.stack([row.numpy() for row in rows])
        laplacian = 0.0
        for value, row in zip(values, rows, strict=True):
            hessian = second.jacobian(
                row, point, unconnected_gradients="zero", experimental_use_pfor=False
            )
            laplacian += value * np.trace(hessian.numpy())
        gradients.append((jacobian.T @ values).reshape(example.shape))
        laplacians.append((jacobian**2).sum() + laplacian)
    return np.stack(gradients), np.array(laplacians)


def stack(layers, input_shape):
    """Copies of layers, nested ones too, in float64."""
    copies = [
        stack(layer.layers, layer.input_shape[1:])
        if isinstance(layer, keras.Sequential)
        else type(layer).from_config({**layer.get_config(), "dtype": "float64"})
        for layer in layers
    ]
    return keras.Sequential([keras.Input(input_shape, dtype="float64"), *copies])


def dense(units, activation, input_shape, **kwargs):
    options = {"activation": activation, **kwargs}
    return stack([keras.layers.Dense(u, **options) for u in units], input_shape)


def conv(filters, activation, input_shape, kernel_size=3, **kwargs):
    options = {"activation": activation, **kwargs}
    layer = getattr(keras.layers, f"Conv{len(input_shape) - 1}D")
    return stack([layer(f, kernel_size, **options) for f in filters], input_shape)
