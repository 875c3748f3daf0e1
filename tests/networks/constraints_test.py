import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.networks import NonPositive, SpectralNorm
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


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (3, 3, 2, 4)])
def test_spectral_norm_shrinks_what_is_too_large_and_leaves_the_rest(shape, rng):
    w = rng.normal(size=shape).astype("float32")
    norm = np.linalg.norm(w.reshape(-1, shape[-1]), 2)
    np.testing.assert_allclose(SpectralNorm(0.9)(w), 0.9 * w / norm, rtol=1e-5)
    np.testing.assert_allclose(SpectralNorm(1.01 * norm)(w), w, rtol=1e-5)


def test_bounded_layers_keep_a_density_where_free_ones_lose_it(rng):
    """With ‖f(x)‖ < ‖x‖ the energy grows in every direction, however long one trains."""
    x = rng.normal(size=(200, 4)).astype("float32") * 30
    far = 1e4 * rng.normal(size=(500, 4)).astype("float32")
    batches = tf.data.Dataset.from_tensor_slices(x).batch(50).repeat(60)
    for constraint, has_density in ((SpectralNorm(0.97), True), (None, False)):
        network = dv.networks.ffnn((32,), "softplus", kernel_constraint=constraint, seed=0)
        model = dv.DELVM(network, normalization="none")
        model.compile(keras.optimizers.Adam(1e-2), steps_per_execution=60)
        model.fit(batches, verbose=0)
        assert (model.energy(far).numpy() > 0).all() == has_density


def test_spectral_norm_survives_saving():
    again = keras.constraints.deserialize(keras.constraints.serialize(SpectralNorm(0.5)))
    assert again.bound == 0.5
    with pytest.raises(ValueError, match="must be positive, got 0"):
        SpectralNorm(0)
