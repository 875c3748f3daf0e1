import keras
import numpy as np

from delvm_tf.networks import NonPositive
from delvm_tf.networks.constraints import get_constraint


def test_positive_weights_become_zero_and_the_others_stay():
    np.testing.assert_array_equal(NonPositive()(np.array([-2.0, 0.0, 3.0])), [-2.0, 0.0, 0.0])


def test_constraints_are_found_by_name_or_passed_through():
    assert isinstance(get_constraint("non_positive"), NonPositive)
    assert isinstance(get_constraint("non_neg"), keras.constraints.NonNeg)
    assert get_constraint(None) is None
    given = keras.constraints.MaxNorm(2.0)
    assert get_constraint(given) is given


def test_a_constrained_layer_survives_saving():
    layer = keras.layers.Dense(3, bias_constraint=NonPositive())
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert isinstance(again.bias_constraint, NonPositive)
