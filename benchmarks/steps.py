"""Training steps to time: score matching, contrastive divergence and an autoencoder."""

import itertools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import delvm_tf as dv

Step = Callable[[tf.Tensor], tf.Tensor]


def random_inputs(shape: tuple[int, ...], batch: int) -> tf.Tensor:
    """Standard normal inputs, the same every time."""
    return tf.constant(np.random.default_rng(0).normal(size=(batch, *shape)), tf.float32)


def make_model(network: keras.Sequential, trace: str, **settings: object) -> dv.DELVM:
    """An SM-DELVM ready to train, on inputs as they are."""
    objective = dv.ScoreMatching(trace, seed=0, **settings)
    return ready(dv.DELVM(network, objective=objective, normalization="none"), network.input_shape)


def make_cd_model(network: keras.Sequential) -> dv.DELVM:
    """A DELVM ready to train by one round of h ~ N(f, I), x′ = Jᵀh, starting at the data."""
    objective = dv.ContrastiveDivergence(seed=0)
    return ready(dv.DELVM(network, objective=objective, normalization="none"), network.input_shape)


def ready(model: Any, input_shape: tuple[int | None, ...]) -> Any:
    """The model with its weights and optimizer made."""
    model.build((None, *input_shape[1:]))
    model.compile(keras.optimizers.Adam(1e-5))
    model.optimizer.build(model.trainable_variables)
    return model


def training_step(model: Any) -> Step:
    """A training step as `fit` takes it, without the reading of the data."""
    return tf.function(lambda x: model.train_step(x)["loss"])


def losses(model: dv.DELVM, x: tf.Tensor, draws: int = 1) -> np.ndarray:
    """The loss of each example, (draws, batch), without training."""
    compute = tf.function(lambda t: model.objective.compute(model, t, training=True).loss)
    return np.stack([compute(x).numpy() for _ in range(draws)])


def autoencoder_step(network: keras.Sequential) -> Step:
    """The autoencoder whose decoder is the encoder's mirror image with its weights transposed."""
    optimizer = keras.optimizers.Adam(1e-5)
    optimizer.build(network.trainable_variables)

    def decode(code: tf.Tensor, shapes: list[tf.Tensor]) -> tf.Tensor:
        layers = list(zip(network.layers, shapes, strict=True))
        for layer, shape in reversed(layers):
            kernel = tf.convert_to_tensor(layer.kernel)
            if isinstance(layer, keras.layers.Dense):
                code = tf.matmul(code, kernel, transpose_b=True)
            else:
                code = tf.nn.conv2d_transpose(code, kernel, shape, 1, "SAME")
            if layer is not network.layers[0]:
                code = tf.nn.relu(code)
        return code

    def step(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            values = list(itertools.accumulate(network.layers, lambda t, f: f(t), initial=x))
            rebuilt = decode(values[-1], [tf.shape(v) for v in values[:-1]])
            loss = tf.reduce_sum(tf.square(x - rebuilt)) / tf.cast(tf.shape(x)[0], tf.float32)
        variables = network.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    return tf.function(step)


def matrix_product(size: int, rows: int) -> tuple[Step, tf.Tensor, float]:
    """A large matrix product, its input, and its floating-point operations."""
    square = tf.random.normal((size, size))
    product = tf.function(lambda x: tf.matmul(x, square))
    return product, tf.random.normal((rows, size)), 2.0 * rows * size * size
