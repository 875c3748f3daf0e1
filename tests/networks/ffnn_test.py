import keras
import numpy as np
import pytest

import delvm_tf as dv
from delvm_tf.networks import ffnn


def kernels(network):
    return [layer.kernel.numpy() for layer in network.layers]


def test_outputs_have_the_last_layers_units(rng):
    network = ffnn((7, 4, 9))
    assert not network.built
    assert network(rng.normal(size=(3, 5))).shape == (3, 9)
    assert [k.shape for k in kernels(network)] == [(5, 7), (7, 4), (4, 9)]


def test_an_input_shape_builds_the_network_and_one_number_is_one_layer():
    network = ffnn(6, input_shape=(5,))
    assert network.built
    assert network.output_shape == (None, 6)


@pytest.mark.parametrize("input_shape", [None, (4,)])
def test_every_layer_is_affine_then_activation_in_its_own_type(rng, input_shape):
    network = ffnn((6, 3), activation="softplus", input_shape=input_shape, dtype="float64")
    network.build((None, 4))
    for layer in network.layers:
        layer.bias.assign(rng.normal(size=layer.bias.shape))
    x = rng.normal(size=(5, 4))
    expected = x
    for layer in network.layers:
        expected = np.log1p(np.exp(expected @ layer.kernel.numpy() + layer.bias.numpy()))
    np.testing.assert_allclose(network(x), expected, rtol=1e-12)


def test_a_seed_fixes_the_weights_and_another_changes_them():
    first, again, other = (kernels(ffnn((5, 5), seed=s, input_shape=(5,))) for s in (3, 3, 4))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.allclose(first[0], other[0])


def test_initializers_are_used_and_those_without_a_seed_too():
    assert np.all(kernels(ffnn((5,), kernel_initializer="ones", seed=1, input_shape=(3,)))[0] == 1)
    wide = keras.initializers.RandomNormal(stddev=10.0)
    kernel = kernels(ffnn((400,), kernel_initializer=wide, seed=1, input_shape=(50,)))[0]
    assert kernel.std() == pytest.approx(10.0, rel=0.05)


def test_biases_and_further_arguments_reach_every_layer():
    network = ffnn((4, 4), use_bias=False, kernel_regularizer="l2", input_shape=(3,))
    assert all(layer.bias is None for layer in network.layers)
    assert len(network.losses) == 2


def test_non_positive_biases_stay_so_through_training_while_free_ones_turn_positive(rng):
    x = rng.normal(size=(200, 6)).astype(np.float32) * [4, 3, 2, 1, 1, 1]

    def trained_biases(constraint):
        network = ffnn((16, 8), bias_constraint=constraint, seed=0)
        model = dv.DELVM(network, scale=3.0)
        model.adapt(x)
        model.compile(keras.optimizers.Adam(0.02))
        model.fit(x, epochs=3, batch_size=50, verbose=0)
        return np.concatenate([layer.bias.numpy() for layer in network.layers])

    assert trained_biases(None).max() > 0
    held = trained_biases("non_positive")
    assert held.max() <= 0
    assert held.min() < 0


@pytest.mark.parametrize("units", [0, -3, (), (4, 0), 2.5, (4, 2.5), True, (4, True), "ab", None])
def test_units_must_be_positive_integers(units):
    with pytest.raises(ValueError, match="units must be one or more positive integers, got"):
        ffnn(units)


def test_numpy_integers_are_integers():
    assert ffnn(np.int64(4), input_shape=(3,)).output_shape == (None, 4)
    assert ffnn(np.array([4, 2]), input_shape=(3,)).output_shape == (None, 2)


@pytest.mark.parametrize("input_shape", [None, (5, 4, 2)])
def test_images_are_flattened(rng, input_shape, tmp_path):
    network = ffnn((7, 3), "softplus", seed=0, input_shape=input_shape)
    x = rng.normal(size=(6, 5, 4, 2)).astype(np.float32)
    vectors = ffnn((7, 3), "softplus", seed=0, input_shape=(40,))
    np.testing.assert_allclose(network(x), vectors(x.reshape(6, 40)), rtol=1e-5)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(loaded(x), network(x))


MODELS = {
    "DELVM": lambda: dv.DELVM(ffnn((4,), "softplus", seed=0)),
    "DSEBM": lambda: dv.DSEBM(ffnn((4, 3), "softplus", seed=0)),
    "Autoencoder": lambda: dv.Autoencoder(ffnn((4, 3), "softplus", seed=0)),
    "GaussianRBM": lambda: dv.GaussianRBM(4, seed=0),
    "DBN": lambda: dv.DBN((4, 3), seed=0),
    "DBM": lambda: dv.DBM((4, 3), seed=0),
}


@pytest.mark.parametrize("kind", MODELS)
def test_models_of_images_are_those_of_all_their_values(rng, kind):
    x = rng.normal(size=(20, 3, 3, 1))
    of_images, of_vectors = MODELS[kind](), MODELS[kind]()
    of_images.adapt(x)
    of_vectors.adapt(x.reshape(20, 9))
    of_images.set_weights(
        [w.reshape(v.shape) for w, v in zip(of_vectors.get_weights(), of_images.get_weights(),
                                            strict=True)]
    )  # fmt: skip
    for name in ("reconstruction_error", "hidden", "features"):
        np.testing.assert_allclose(
            getattr(of_images, name)(x), getattr(of_vectors, name)(x.reshape(20, 9)), rtol=1e-4,
            atol=1e-6,
        )  # fmt: skip
    if kind == "DELVM":
        assert of_images.objective.plan(of_images).method == "closed_form"
    if hasattr(of_images, "layer_stage"):
        stage = of_images.layer_stage(1)
        assert stage.reconstruction_error(x).shape == (20,)


def test_a_network_of_each_pixel_warns(rng):
    x = rng.normal(size=(5, 3, 3, 2))
    pixels = keras.Sequential([keras.layers.Dense(4), keras.layers.Activation("tanh")])
    with pytest.warns(UserWarning, match="act on the last axis .*Flatten"):
        dv.DELVM(pixels).adapt(x)


def test_a_linear_last_layer_lets_hidden_units_be_rare(rng):
    x = rng.normal(size=(50, 4)).astype("float32")
    for output_activation, bounded in ((None, True), ("linear", False)):
        network = ffnn((6, 5), output_activation=output_activation, seed=0)
        model = dv.DEM(network, normalization="none")
        assert np.all(model.hidden(x) >= 0.5) == bounded
