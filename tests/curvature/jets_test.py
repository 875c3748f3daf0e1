from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from delvm_tf.curvature import jets

POINTS = np.array([-3.1, -0.7, -0.2, 0.3, 0.9, 2.2])
A = keras.activations
OPTIONS = {
    "gelu, approximate": partial(A.gelu, approximate=True),
    "elu, alpha": partial(A.elu, alpha=0.6),
    "celu, alpha": partial(A.celu, alpha=0.6),
    "leaky_relu, negative_slope": partial(A.leaky_relu, negative_slope=0.4),
    "relu, every option": partial(A.relu, negative_slope=0.1, max_value=1.0, threshold=0.1),
    "relu, max_value": partial(A.relu, max_value=0.7),
    "threshold": partial(A.threshold, threshold=0.5, default_value=0.2),
}
WITHOUT_OPTIONS = {*jets._FORMULAS, *jets._PIECEWISE_LINEAR, *jets._DIFFERENTIATED} - {A.threshold}
ALL = {a.__name__: getattr(A, a.__name__) for a in WITHOUT_OPTIONS} | OPTIONS


@pytest.mark.parametrize("name", sorted(ALL))
def test_derivatives_equal_central_differences(name):
    activation, h = ALL[name], 1e-4
    jet = jets.activation_jet(activation)(tf.constant(POINTS))

    def phi(a):
        return keras.ops.convert_to_numpy(activation(tf.constant(a)))

    first = (phi(POINTS + h) - phi(POINTS - h)) / (2 * h)
    second = (phi(POINTS + h) - 2 * phi(POINTS) + phi(POINTS - h)) / h**2
    np.testing.assert_allclose(jet.value, phi(POINTS), rtol=1e-12)
    np.testing.assert_allclose(np.broadcast_to(jet.first, POINTS.shape), first, atol=1e-6)
    np.testing.assert_allclose(np.broadcast_to(jet.second, POINTS.shape), second, atol=2e-6)


@pytest.mark.parametrize("name", sorted(ALL))
def test_derivatives_and_their_gradients_are_finite_at_zero_and_far_out(name):
    far = 30.0 if name == "exponential" else 1e4
    points = tf.constant([-1e4, -30.0, -1.0, 0.0, 1.0, 30.0, far])
    with tf.GradientTape() as tape:
        tape.watch(points)
        jet = jets.activation_jet(ALL[name])(points)
        total = sum(tf.reduce_sum(part) for part in jet[:3] if isinstance(part, tf.Tensor))
    gradient = tape.gradient(total, points)
    for part in (*jet[:3], gradient):
        assert np.isfinite(part).all()


@pytest.mark.parametrize(
    "activation", [A.relu, A.leaky_relu, A.hard_tanh, A.relu6, A.soft_shrink, A.hard_sigmoid,
                   OPTIONS["relu, every option"], OPTIONS["threshold"]],
    ids=lambda a: getattr(a, "__name__", "with options"),
)  # fmt: skip
def test_piecewise_linear_functions_have_a_constant_slope_and_no_second_derivative(activation):
    points = tf.constant(POINTS)
    with tf.GradientTape() as tape:
        tape.watch(points)
        jet = jets.activation_jet(activation)(points)
    assert isinstance(jet.second, float)
    assert jet.second == 0.0
    assert tape.gradient(jet.first, points) is None


@pytest.mark.parametrize(
    "activation", [A.relu, A.leaky_relu, A.relu6, A.elu, A.hard_tanh], ids=lambda a: a.__name__
)
def test_slopes_at_kinks_are_those_of_the_gradient(activation):
    kinks = tf.constant([-1.0, 0.0, 1.0, 6.0])
    with tf.GradientTape() as tape:
        tape.watch(kinks)
        value = activation(kinks)
    slopes = jets.activation_jet(activation)(kinks).first
    np.testing.assert_allclose(slopes, tape.gradient(value, kinks), rtol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [keras.layers.ReLU(), keras.layers.ReLU(1.0, 0.1, 0.1), keras.layers.LeakyReLU(0.3),
     keras.layers.ELU(0.7), keras.layers.PReLU("ones"), keras.layers.Activation("mish")],
    ids=lambda layer: layer.name,
)  # fmt: skip
def test_activation_layers(layer):
    layer.build((None, len(POINTS)))
    if isinstance(layer, keras.layers.PReLU):
        layer.alpha.assign(np.linspace(0.125, 0.75, len(POINTS)))

    def phi(a):
        return keras.ops.convert_to_numpy(layer.call(tf.constant(a, tf.float32))).astype(float)

    jet = jets.layer_jet(layer)(tf.constant(POINTS, tf.float32))
    slopes = (phi(POINTS + 1e-2) - phi(POINTS - 1e-2)) / 2e-2
    np.testing.assert_allclose(jet.value, phi(POINTS), rtol=1e-6)
    np.testing.assert_allclose(jet.first, slopes, atol=1e-3)


def test_the_slope_of_a_prelu_has_a_gradient_in_its_parameter():
    alpha = tf.constant(0.3)
    with tf.GradientTape() as tape:
        tape.watch(alpha)
        jet = jets.prelu(tf.constant([-2.0, 0.0, 3.0]), alpha)
        total = tf.reduce_sum(jet.value + 10.0 * jet.first)
    assert tape.gradient(total, alpha) == -2.0 + 10.0


@pytest.mark.parametrize(
    "activation", [keras.activations.relu, keras.activations.linear], ids=["relu", "linear"]
)
def test_a_gate_has_slope_zero_or_one_and_value_equal_to_input_times_slope(activation):
    jet = jets.activation_jet(activation)(tf.constant(POINTS))
    slope = np.broadcast_to(jet.first, POINTS.shape)
    assert jet.gate
    assert set(slope) <= {0.0, 1.0}
    np.testing.assert_array_equal(jet.value, POINTS * slope)


def test_tensorflows_own_functions_are_known_as_well():
    assert jets.activation_jet(tf.nn.relu) is jets.relu
    assert jets.activation_jet(tf.nn.gelu) is jets.gelu


def test_activations_that_mix_elements_have_no_jet():
    for activation in (keras.activations.softmax, keras.activations.log_softmax, lambda a: a):
        assert jets.activation_jet(activation) is None


def test_composition_follows_the_chain_rule():
    composed = jets.compose(jets.tanh, jets.softplus)(tf.constant(POINTS))
    direct = jets.differentiated(lambda a: tf.tanh(tf.nn.softplus(a)))(tf.constant(POINTS))
    for got, expected in zip(composed[:3], direct[:3], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-14)


def test_constant_factors_cost_nothing():
    a = tf.constant([2.0])
    assert jets.multiply(a, 1.0) is a
    assert jets.multiply(0.0, a) == 0.0
    assert jets.add(0.0, a) is a
