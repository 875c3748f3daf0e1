"""Every kind of bad input, and the message it gets before any work is lost."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv

D = 6


def x(n=20):
    return np.random.default_rng(0).normal(size=(n, D)).astype("float32")


def model(**kwargs):
    made = dv.DELVM(dv.networks.ffnn((4,), seed=0), **kwargs)
    made.adapt(x())
    made.compile()
    return made


def images():
    made = dv.DELVM(dv.networks.cnn((2,), 3), normalization="none")
    made.build((None, 5, 5, 1))
    made.compile()
    return made


def with_value(value):
    bad = x()
    bad[[3, 7], 2] = value
    return bad


CALLS = {
    "fit": lambda m, data: m.fit(data, verbose=0),
    "evaluate": lambda m, data: m.evaluate(data, verbose=0),
    "adapt": lambda m, data: m.adapt(data),
    "energy": lambda m, data: m.energy(data),
    "reconstruction_error": lambda m, data: m.reconstruction_error(data),
    "features": lambda m, data: m.features(data),
}
BAD_ARRAYS = {
    "too few features": (
        lambda: x()[:, :5], ValueError, r"DELVM expects x of shape \(batch, 6\), got \(20, 5\)",
    ),
    "a single vector": (
        lambda: x()[0], ValueError, r"got \(6,\).*single example: pass a batch, x\[None\]",
    ),
    "too high a rank": (
        lambda: x()[:, :, None], ValueError, r"expects x of shape \(batch, 6\), got \(20, 6, 1\)",
    ),
    "text": (lambda: np.array([["a"] * D] * 3), TypeError, "x must hold real numbers.*dtype <U1"),
    "objects": (lambda: np.array([[None] * D] * 3), TypeError, "got dtype object; convert it"),
    "complex numbers": (lambda: x().astype("complex64"), TypeError, "got dtype complex64"),
    "booleans": (lambda: x() > 0, TypeError, "got dtype bool"),
    "NaN": (
        lambda: with_value(np.nan), ValueError,
        r"NaN or infinite values in 2 of 20 examples \(first rows: \[3, 7\]\)",
    ),
    "infinity": (lambda: with_value(-np.inf), ValueError, "NaN or infinite values in 2 of 20"),
    "nothing": (lambda: x()[:0], ValueError, r"empty data set: x has shape \(0, 6\)"),
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", BAD_ARRAYS)
def test_bad_arrays(kind, call):
    bad, error, message = BAD_ARRAYS[kind]
    with pytest.raises(error, match=message):
        CALLS[call](model(), bad())


def test_images_without_channels():
    with pytest.raises(ValueError, match=r"\(batch, 5, 5, 1\).*Images need a channel axis"):
        images().energy(np.zeros((20, 5, 3)))
    with pytest.raises(ValueError, match=r"single example: pass a batch"):
        images().fit(np.zeros((5, 5, 1)), verbose=0)


@pytest.mark.parametrize("call", CALLS)
def test_streams_of_the_wrong_shape(call):
    ds = tf.data.Dataset.from_tensor_slices(x()[:, :5]).batch(5)
    with pytest.raises(ValueError, match=r"expects x of shape \(batch, 6\), got \((None|5), 5\)"):
        CALLS[call](model(), ds)


def test_a_stream_that_was_not_batched():
    ds = tf.data.Dataset.from_tensor_slices(x())
    with pytest.raises(ValueError, match=r"expects x of shape \(batch, 6\), got \(6,\)"):
        model().fit(ds, verbose=0)
    images_ds = tf.data.Dataset.from_tensor_slices(np.zeros((4, 5, 5, 1), "float32"))
    with pytest.raises(ValueError, match="pass a batch"):
        images().energy(images_ds)


def test_a_stream_with_nan_stops_training_and_leaves_the_weights_alone():
    made = model()
    before = made.get_weights()
    ds = tf.data.Dataset.from_tensor_slices(with_value(np.nan)).batch(20)
    with pytest.raises(ValueError, match="1 training batches of epoch 1 hold NaN or infinite"):
        made.fit(ds, verbose=0)
    assert all(np.isfinite(w).all() for w in made.get_weights())
    for a, b in zip(before, made.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="NaN or infinite"):
        made.adapt(ds)
    with pytest.raises(ValueError, match="NaN or infinite"):
        made.energy(ds)


@pytest.mark.parametrize("call", ["fit", "adapt", "energy"])
def test_an_empty_stream(call):
    ds = tf.data.Dataset.from_tensor_slices(x()).batch(5).take(0)
    with pytest.raises(ValueError, match="empty"):
        CALLS[call](model(), ds)


def test_not_a_data_set():
    with pytest.raises(TypeError, match=r"expected an array, a tf.data.Dataset or a keras"):
        model().adapt("data.csv")


def test_labels_and_weights_of_the_wrong_length():
    with pytest.raises(ValueError, match="x has 20 examples but labels y has 19 entries"):
        model().fit(x(), np.zeros(19), verbose=0)
    with pytest.raises(ValueError, match="x has 20 examples but sample_weight has 3 entries"):
        model().fit(x(), sample_weight=np.ones(3), verbose=0)
    with pytest.raises(ValueError, match="x has 20 examples but labels y has 19 entries"):
        model().fit(x(), verbose=0, validation_data=(x(), np.zeros(19)))


def test_validation_data_are_checked_too():
    with pytest.raises(ValueError, match="NaN or infinite values in 2 of 20"):
        model().fit(x(), verbose=0, validation_data=(with_value(np.nan),))


@pytest.mark.parametrize("call", [name for name in CALLS if name != "adapt"])
@pytest.mark.parametrize("built", [True, False])
def test_an_unadapted_model(call, built):
    made = dv.DELVM(dv.networks.ffnn((4,)), normalization="zscore")
    made.compile()
    if built:
        made.build((None, D))
    with pytest.raises(ValueError, match=r"not adapted: normalization='zscore'.*model.adapt\(x\)"):
        CALLS[call](made, x())


def test_adapting_to_one_example_or_to_constants():
    made = dv.DELVM(dv.networks.ffnn((4,)))
    with pytest.raises(
        ValueError, match="needs at least 2 examples to measure their spread, got 1"
    ):
        made.adapt(x(1))
    with pytest.raises(ValueError, match="every feature is constant over the 20 examples"):
        made.adapt(np.ones((20, D)))


def test_a_constant_feature_is_centred_with_a_warning():
    data = x()
    data[:, 4] = 7.0
    made = dv.DELVM(dv.networks.ffnn((4,)), normalization="zscore")
    with pytest.warns(UserWarning, match=r"1 of 6 features are constant.*first: \[4\]"):
        made.adapt(data)
    assert np.isfinite(made.energy(data)).all()
    np.testing.assert_allclose(made.normalization(data)[:, 4], 0.0, atol=1e-6)


def test_one_example_can_be_scored():
    assert model().energy(x(1)).shape == (1,)


def test_a_loss_for_compile():
    with pytest.raises(ValueError, match="the loss of this model is its objective"):
        dv.DELVM(dv.networks.ffnn((4,))).compile("adam", loss="mse")


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: dv.DELVM(3), TypeError, "network must be a Keras model"),
        (lambda: dv.DELVM(dv.networks.ffnn((4,)), objective="sm"), TypeError,
         "objective must be an Objective such as"),
        (lambda: dv.DELVM(dv.networks.ffnn((4,)), normalization="scaled"), ValueError,
         "unknown normalization 'scaled'; expected one of none, minmax"),
        (lambda: dv.DELVM(dv.networks.ffnn((4,)), scale=-1.0), ValueError,
         "scale must be a positive finite number, got -1.0"),
        (lambda: dv.DELVM(dv.networks.ffnn((4,)), visible_precision="banded"), ValueError,
         "unknown visible_precision 'banded'; expected None or one of scalar"),
        (lambda: dv.DELVM(dv.networks.ffnn((4,)), scale=2.0,
                          normalization=dv.normalization.InputNormalization("center")), ValueError,
         "give the scale to the InputNormalization"),
    ],
)  # fmt: skip
def test_unknown_names_and_options(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_a_network_for_other_inputs():
    made = dv.DELVM(dv.networks.ffnn((4,), input_shape=(7,)))
    with pytest.raises(ValueError, match=r"network takes inputs of shape \(7,\), but the data"):
        made.adapt(x())


def test_an_activity_regulariser():
    made = dv.DELVM(dv.networks.ffnn((4,), activity_regularizer="l2"))
    with pytest.raises(ValueError, match="dense_1 has an activity regulariser"):
        made.adapt(x())


def test_a_layer_that_acts_in_training_only():
    layer = keras.layers.SpectralNormalization(keras.layers.Dense(4))
    made = dv.DELVM(keras.Sequential([layer]))
    with pytest.raises(ValueError, match=r"kernel_constraint=dv\.networks\.SpectralNorm"):
        made.adapt(x())


def test_layers_asked_of_features():
    with pytest.raises(ValueError, match="layers must be 'all' or 'last', got 'first'"):
        model().features(x(), layers="first")


def test_fit_before_compile():
    made = dv.DELVM(dv.networks.ffnn((4,)), normalization="none")
    with pytest.raises(ValueError, match="call `compile"):
        made.fit(x(), verbose=0)
    assert isinstance(made, keras.Model)


def of_two_inputs():
    x, log_sigma = keras.Input((D,)), keras.Input((1,))
    return keras.Model([x, log_sigma], keras.layers.Concatenate()([x, log_sigma]))


@pytest.mark.parametrize("kind", [dv.DELVM, dv.DEM, dv.DSEBM, dv.CEBM, dv.Autoencoder])
@pytest.mark.parametrize(
    "network",
    [
        lambda: dv.networks.level_ffnn((3,)), lambda: dv.networks.level_cnn((3,)),
        lambda: dv.networks.LevelUNet((3, 4)), of_two_inputs,
    ],
)  # fmt: skip
def test_networks_that_take_the_noise_level_are_for_models_that_have_one(kind, network):
    with pytest.raises(TypeError, match=r"of x alone.*dv\.NoiseConditionalDELVM"):
        kind(network())
