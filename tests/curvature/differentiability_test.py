"""The gradient in the weights of what is made of ∇E, for layers that TensorFlow has wrong."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.curvature.curvature import Potential
from delvm_tf.curvature.outer import HalfSquaredNorm
from delvm_tf.curvature.values import network_value

layers = keras.layers


def image_network(layer):
    return keras.Sequential(
        [
            layers.Conv2D(3, 3, padding="same", activation="tanh", dtype="float64"),
            layer,
            layers.Flatten(dtype="float64"),
            layers.Dense(4, activation="tanh", dtype="float64"),
        ]
    )


RIGHT = {
    "layer normalisation": lambda: layers.LayerNormalization(dtype="float64"),
    "layer normalisation of a whole image": lambda: layers.LayerNormalization(
        axis=[1, 2, 3], dtype="float64"
    ),
    "group normalisation": lambda: layers.GroupNormalization(3, dtype="float64"),
    "bilinear": lambda: layers.UpSampling2D(2, interpolation="bilinear", dtype="float64"),
    "max pooling": lambda: layers.MaxPooling2D(3, 1, padding="same", dtype="float64"),
    "softsign": lambda: layers.Activation("softsign", dtype="float64"),
    "nested": lambda: keras.Sequential([layers.LayerNormalization(axis=1, dtype="float64")]),
}


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        *((name, dv.DenoisingScoreMatching) for name in RIGHT),
        ("layer normalisation", dv.Reconstruction),
    ],
)
def test_weight_gradients_agree_with_finite_differences(name, objective):
    keras.utils.set_random_seed(0)
    network = image_network(RIGHT[name]())
    model = dv.DELVM(network, objective=objective(seed=1), normalization="none", dtype="float64")
    model.build((None, 6, 6, 2))
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(3, 6, 6, 2)))
    state = model.objective.seed_generator.state
    start = tf.identity(state.value)

    def loss():
        state.assign(start)
        return tf.reduce_sum(model.objective.compute(model, x, training=True).loss)

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            value = loss()
        return tape.gradient(value, model.trainable_variables)

    value = tf.function(loss)
    for variable, slope in zip(model.trainable_variables, gradient(), strict=True):
        direction, before, h = rng.normal(size=variable.shape), variable.numpy(), 1e-5
        variable.assign(before + h * direction)
        above = float(value())
        variable.assign(before - h * direction)
        difference = (above - float(value())) / (2 * h)
        variable.assign(before)
        assert np.sum(slope * direction) == pytest.approx(difference, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", RIGHT)
def test_a_network_keeps_its_value(name):
    network = image_network(RIGHT[name]())
    x = tf.constant(np.random.default_rng(0).normal(size=(3, 6, 6, 2)))
    np.testing.assert_allclose(network_value(network, x), network(x), atol=1e-6)


def test_masks_pass_layers_that_are_computed_by_rule():
    inputs = keras.Input((5, 3))
    hidden = layers.LayerNormalization()(layers.Masking()(inputs))
    network = keras.Model(inputs, layers.LSTM(2)(hidden))
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    x[:, 3:] = 0
    np.testing.assert_allclose(network_value(network, tf.constant(x)), network(x), atol=1e-6)


def _by_moments(x):
    return x / tf.sqrt(tf.nn.moments(x, [-1], keepdims=True)[1])


WRONG = {
    "ResizeBilinearGrad": lambda: layers.Resizing(8, 8),
    "ResizeBicubicGrad": lambda: layers.Resizing(8, 8, interpolation="bicubic"),
    "moments": lambda: layers.Lambda(_by_moments),
}


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        ("ResizeBilinearGrad", dv.DenoisingScoreMatching),
        ("ResizeBilinearGrad", dv.SlicedScoreMatching),
        ("ResizeBicubicGrad", dv.Reconstruction),
        ("moments", dv.DenoisingScoreMatching),
        ("moments", lambda: dv.ScoreMatching("nested_tape")),
    ],
)
def test_gradients_that_would_be_missing_are_refused(name, objective):
    network = keras.Sequential(
        [layers.Conv2D(2, 3, activation="tanh"), WRONG[name](), layers.Flatten(), layers.Dense(2)]
    )
    model = dv.DELVM(network, objective=objective(), normalization="none")
    model.compile("sgd")
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 1)).astype("float32")
    with pytest.raises(ValueError, match=name):
        model.fit(x, verbose=0)


def test_a_network_of_its_own_class_is_looked_into():
    @keras.saving.register_keras_serializable("differentiability_test")
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.normalize = layers.LayerNormalization()

        def call(self, x):
            return self.normalize(x)

    model = dv.DELVM(Own(), objective=dv.DenoisingScoreMatching(), normalization="none")
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"moments"):
        model.fit(np.ones((4, 3), "float32"), verbose=0)


def test_the_plan_follows_the_network():
    network = keras.Sequential([layers.Dense(5, activation="tanh")])
    network.build((None, 6))
    potential = Potential(network, HalfSquaredNorm())
    settings = dv.curvature.TraceSettings()
    assert dv.curvature.plan_trace("exact", potential, (6,), settings).method == "closed_form"
    network.add(layers.Dense(4, activation="tanh"))
    assert dv.curvature.plan_trace("exact", potential, (6,), settings).method == "basis"
