import keras
import numpy as np
import pytest
import tensorflow as tf

from delvm_tf.curvature import jets

POINTS = np.array([-3.1, -0.7, -0.2, 0.3, 0.9, 2.2])
ALL = [*jets._FORMULAS, *jets._ELEMENTWISE]


@pytest.mark.parametrize("activation", ALL, ids=lambda a: a.__name__)
def test_derivatives_equal_central_differences(activation):
    jet = jets.activation_jet(activation)(tf.constant(POINTS))
    h = 1e-4

    def phi(a):
        return keras.ops.convert_to_numpy(activation(tf.constant(a)))

    first = (phi(POINTS + h) - phi(POINTS - h)) / (2 * h)
    second = (phi(POINTS + h) - 2 * phi(POINTS) + phi(POINTS - h)) / h**2
    np.testing.assert_allclose(jet.value, phi(POINTS), rtol=1e-12)
    np.testing.assert_allclose(np.broadcast_to(jet.first, POINTS.shape), first, atol=1e-6)
    np.testing.assert_allclose(np.broadcast_to(jet.second, POINTS.shape), second, atol=2e-6)


@pytest.mark.parametrize("activation", ALL, ids=lambda a: a.__name__)
def test_derivatives_and_their_gradients_are_finite_at_zero_and_far_out(activation):
    points = tf.constant([-30.0, -1.0, 0.0, 1.0, 30.0])
    with tf.GradientTape() as tape:
        tape.watch(points)
        jet = jets.activation_jet(activation)(points)
        total = sum(tf.reduce_sum(part) for part in jet[:3] if isinstance(part, tf.Tensor))
    gradient = tape.gradient(total, points)
    for part in (*jet[:3], gradient):
        assert np.isfinite(part).all()


@pytest.mark.parametrize(
    "activation", [keras.activations.relu, keras.activations.linear], ids=["relu", "linear"]
)
def test_a_gate_has_slope_zero_or_one_and_value_equal_to_input_times_slope(activation):
    jet = jets.activation_jet(activation)(tf.constant(POINTS))
    slope = np.broadcast_to(jet.first, POINTS.shape)
    assert jet.gate
    assert set(slope) <= {0.0, 1.0}
    np.testing.assert_array_equal(jet.value, POINTS * slope)


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
