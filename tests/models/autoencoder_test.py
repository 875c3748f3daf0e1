"""Autoencoders against hand-built ones, known optima, and what users do with models."""

import functools
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv

L = keras.layers


def dense(**kwargs):
    return dv.Autoencoder(dv.networks.ffnn((8, 3), "tanh", seed=0), **kwargs), (6,)


def convolutional(**kwargs):
    network = keras.Sequential([
        L.Conv2D(4, 3, strides=2, padding="same"), L.BatchNormalization(), L.ReLU(),
        L.MaxPooling2D(2), L.Flatten(), L.Dense(5, activation="relu"), L.Dropout(0.2), L.Dense(3),
    ])  # fmt: skip
    return dv.ConvAutoencoder(network, **kwargs), (9, 7, 2)


def small_convolutional(**kwargs):
    return dv.ConvAutoencoder(dv.networks.cnn((3, 2), 3, strides=2), **kwargs), (5, 6, 1)


def with_own_decoder(**kwargs):
    decoder = keras.Sequential([L.Dense(5, activation="relu"), L.Dense(6)])
    return dv.Autoencoder(dv.networks.ffnn((2,)), decoder=decoder, **kwargs), (6,)


VARIANTS = {
    "dense": lambda: dense(tied=True, output_activation="sigmoid", normalization="minmax"),
    "convolutional": lambda: convolutional(tied=True, objective=dv.Reconstruction(0.3)),
    "own decoder": with_own_decoder,
}
SOME_SLOW = [pytest.param("dense", marks=pytest.mark.slow), "convolutional", "own decoder"]


def data(shape, n=40):
    return np.random.default_rng(1).normal(3.0, 2.0, size=(n, *shape)).astype("float32")


@functools.cache
def trained(variant):
    """A model after six epochs of four steps, its data and history; made once."""
    keras.utils.set_random_seed(0)
    model, shape = VARIANTS[variant]()
    x = data(shape)
    model.adapt(x)
    model.compile(keras.optimizers.Adam(1e-2))
    history = model.fit(x, batch_size=10, epochs=6, verbose=0).history
    return model, x, history


def loss_and_gradients(model, z, variables):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.objective.compute(model, z, training=True).loss)
    return loss.numpy(), tape.gradient(loss, variables)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_loss_and_gradients_are_those_of_an_autoencoder_built_by_hand(activation, rng):
    """Keras's own layers, an even image, and the same weights."""
    keras.config.set_dtype_policy("float64")
    network = keras.Sequential([
        L.Conv2D(4, 3, strides=2, padding="same", activation=activation), L.Flatten(),
        L.Dense(5, activation=activation), L.Dense(3),
    ])  # fmt: skip
    model = dv.Autoencoder(network, normalization="none")
    model.build((None, 6, 4, 2))
    by_hand = keras.Sequential([
        keras.Input((6, 4, 2), dtype="float64"),
        L.Conv2D(4, 3, strides=2, padding="same", activation=activation), L.Flatten(),
        L.Dense(5, activation=activation), L.Dense(3),
        L.Dense(5, activation=activation), L.Dense(24), L.Reshape((3, 2, 4)),
        L.Activation(activation), L.Conv2DTranspose(2, 3, strides=2, padding="same"),
    ])  # fmt: skip
    weights = [rng.normal(size=w.shape) for w in by_hand.weights]
    by_hand.set_weights(weights)
    variables = network.trainable_variables + model.decoder.trainable_variables
    for variable, value in zip(variables, weights, strict=True):
        variable.assign(value)
    z = tf.constant(rng.normal(size=(5, 6, 4, 2)))
    with tf.GradientTape() as tape:
        errors = tf.reduce_sum(tf.square(by_hand(z) - z), axis=(1, 2, 3))
        loss = tf.reduce_mean(errors)
    expected = tape.gradient(loss, by_hand.trainable_variables)
    got_loss, got = loss_and_gradients(model, z, variables)
    np.testing.assert_allclose(got_loss, loss, rtol=1e-12)
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(model.reconstruct(z), by_hand(z), rtol=1e-10)
    np.testing.assert_allclose(model.reconstruction_error(z), errors, rtol=1e-10)
    np.testing.assert_allclose(model.hidden(z), network(z), rtol=1e-12)
    maps = [network.layers[i] for i in (0, 1, 2, 3)]
    first = maps[0](z)
    second = maps[2](maps[1](first))
    pooled = keras.ops.max_pool(first, 2, strides=2)
    features = np.concatenate([np.reshape(pooled, (5, -1)), second, maps[3](second)], axis=1)
    np.testing.assert_allclose(model.features(z), features, rtol=1e-10)


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_tied_kernels_collect_the_gradients_of_both_uses(kind, rng):
    """The gradient of a tied kernel is the sum of those of two kernels that are equal."""
    keras.config.set_dtype_policy("float64")
    shape = (7,) if kind == "dense" else (7, 6, 2)

    def make(tied):
        layers = {
            "dense": lambda: [L.Dense(5, activation="tanh"), L.Dense(3)],
            "convolutional": lambda: [
                L.Conv2D(3, 3, strides=2, activation="tanh"), L.Flatten(), L.Dense(3)
            ],
        }[kind]()  # fmt: skip
        model = dv.Autoencoder(keras.Sequential(layers), tied=tied, normalization="none")
        model.build((None, *shape))
        return model, [layer for layer in layers if layer.weights]

    tied, encoder = make(True)
    untied, copies = make(False)
    for layer in encoder:
        layer.kernel.assign(rng.normal(size=layer.kernel.shape))
    mirrors = [layer for layer in reversed(untied.decoder.layers) if layer.weights]
    for layer, copy, mirror in zip(encoder, copies, mirrors, strict=True):
        copy.set_weights(layer.get_weights())
        dense_mirror = isinstance(mirror, L.Dense)
        mirror.kernel.assign(tf.transpose(layer.kernel) if dense_mirror else layer.kernel)
    z = tf.constant(rng.normal(size=(4, *shape)))
    loss, gradients = loss_and_gradients(tied, z, [layer.kernel for layer in encoder])
    same, parts = loss_and_gradients(
        untied, z, [layer.kernel for layer in (*copies, *mirrors)]
    )  # fmt: skip
    np.testing.assert_allclose(loss, same, rtol=1e-12)
    n = len(encoder)
    for gradient, first, second, mirror in zip(
        gradients, parts[:n], parts[n:], mirrors, strict=True
    ):
        second = tf.transpose(second) if isinstance(mirror, L.Dense) else second
        np.testing.assert_allclose(gradient, first + second, rtol=1e-9, atol=1e-10)
        assert np.abs(second).max() > 1e-3


def test_nothing_is_duplicated_in_the_weights_of_a_tied_model():
    model, shape = dense(tied=True, normalization="none")
    model.build((None, *shape))
    shapes = sorted(tuple(w.shape) for w in model.trainable_variables)
    assert shapes == [(3,), (6,), (6, 8), (8,), (8,), (8, 3)]
    assert [w.name for w in model.decoder.weights] == ["bias", "bias"]


@pytest.mark.parametrize("tied", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_linear_autoencoder_finds_the_principal_subspace(tied, rng):
    x = rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6)) + 3.0
    network = dv.networks.ffnn((2,), "linear", seed=0, dtype="float64")
    model = dv.Autoencoder(network, tied=tied, dtype="float64")
    model.adapt(x)
    schedule = keras.optimizers.schedules.CosineDecay(0.05, 600)
    model.compile(keras.optimizers.Adam(schedule), steps_per_execution=100)
    model.fit(tf.data.Dataset.from_tensors(x).repeat(600), verbose=0)
    z = model.normalization(x).numpy()
    _, singular, right = np.linalg.svd(z, full_matrices=False)
    residual = np.square(z - z @ right[:2].T @ right[:2]).sum(axis=1)
    assert np.mean(residual) == pytest.approx(np.square(singular[2:]).sum() / len(z))
    error = model.reconstruction_error(x).numpy()
    assert error.mean() == pytest.approx(residual.mean(), rel=1e-3)
    assert error.mean() >= residual.mean() * (1 - 1e-9)  # nothing of rank 2 is better
    np.testing.assert_allclose(error, residual, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("variant", SOME_SLOW)
def test_fit_reduces_the_loss_and_evaluate_tells_the_error(variant):
    model, x, history = trained(variant)
    assert history["loss"][-1] < history["loss"][0]
    result = model.evaluate(x, verbose=0, return_dict=True)
    error = np.mean(model.reconstruction_error(x))
    assert result["loss"] == pytest.approx(error, rel=1e-4)
    assert result["reconstruction_error"] == pytest.approx(error, rel=1e-4)
    np.testing.assert_allclose(model.predict(x, verbose=0), model.reconstruct(x), rtol=1e-4)


def test_raw_units_are_restored_and_errors_are_normalised(rng):
    """An encoder and decoder that are the identity reconstruct exactly, in raw units."""
    model = dv.Autoencoder(
        L.Dense(4, kernel_initializer="identity"), tied=True, scale=3.0, normalization="zscore"
    )
    x = rng.normal(5.0, 10.0, size=(30, 4)).astype("float32")
    model.adapt(x)
    np.testing.assert_allclose(model.reconstruct(x), x, rtol=1e-4)
    model.decoder.layers[0].bias.assign([0.5, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(model.reconstruction_error(x), 0.25, rtol=1e-4)
    shift = np.array([0.5 / 3.0, 0, 0, 0]) * x.std(axis=0)
    np.testing.assert_allclose(model.reconstruct(x), x + shift, rtol=1e-4)


def test_batch_normalisation_and_dropout_work_in_training_only():
    model, x, _ = trained("convolutional")
    moving = model.network.layers[1].moving_mean.numpy()
    assert np.abs(moving).max() > 0
    np.testing.assert_array_equal(model.reconstruct(x), model.reconstruct(x))
    z = model.normalization(x)
    values = [model.training_reconstruction(z).numpy() for _ in range(2)]
    assert not np.allclose(*values)


def test_an_activity_regulariser_makes_a_sparse_autoencoder():
    network = keras.Sequential([L.Dense(5, activity_regularizer=keras.regularizers.L1(0.1))])
    model = dv.Autoencoder(network, normalization="none")
    x = data((6,))
    model.build((None, 6))
    model.compile()
    result = model.evaluate(x, batch_size=40, verbose=0, return_dict=True)
    penalty = 0.1 * np.abs(model.hidden(x)).sum() / len(x)
    assert result["loss"] == pytest.approx(result["reconstruction_error"] + penalty, rel=1e-5)
    assert model.fit(x, batch_size=40, epochs=3, verbose=0).history["loss"][0] > 0


IN_ANOTHER_PROCESS = """
import sys
import numpy as np
import keras
import delvm_tf
for folder in sys.argv[1:]:
    model = keras.saving.load_model(f"{folder}/model.keras")
    x = np.load(f"{folder}/x.npy")
    np.savez(f"{folder}/out.npz", **{
        name: getattr(model, name)(x).numpy()
        for name in ("reconstruct", "features")
    })
"""


@pytest.mark.slow
def test_a_fresh_process_gives_equal_reconstructions(tmp_path):
    models, folders = [], []
    for index, variant in enumerate(VARIANTS):
        model, x, _ = trained(variant)
        folder = tmp_path / str(index)
        folder.mkdir()
        np.save(folder / "x.npy", x)
        model.save(folder / "model.keras")
        models.append((model, x))
        folders.append(folder)
    subprocess.run([sys.executable, "-c", IN_ANOTHER_PROCESS, *map(str, folders)], check=True)
    for (model, x), folder in zip(models, folders, strict=True):
        results = np.load(folder / "out.npz")
        for name in results.files:
            np.testing.assert_allclose(
                results[name], getattr(model, name)(x), rtol=1e-5, atol=1e-5, err_msg=name
            )


@pytest.mark.parametrize("variant", SOME_SLOW)
def test_a_loaded_model_goes_on_training(variant, tmp_path):
    model, x, _ = trained(variant)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    assert loaded.tied == model.tied
    assert loaded.output_activation is model.output_activation
    assert int(loaded.optimizer.iterations) == 24
    for name in ("reconstruct", "features"):
        got, expected = getattr(loaded, name)(x), getattr(model, name)(x)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    before = model.evaluate(x, verbose=0)
    np.testing.assert_allclose(loaded.evaluate(x, verbose=0), before, rtol=1e-5)
    loaded.fit(x, epochs=1, verbose=0)


@pytest.mark.parametrize(
    ("make", "policy"),
    [
        (dense, "float64"),
        pytest.param(dense, "mixed_bfloat16", marks=pytest.mark.slow),
        (small_convolutional, "mixed_float16"),
    ],
)
def test_float64_and_mixed_precision(make, policy):
    keras.config.set_dtype_policy(policy)
    model, shape = make(normalization="zscore")
    x = data(shape)
    model.adapt(x)
    model.compile(keras.optimizers.Adam(1e-2))
    losses = model.fit(x, batch_size=5, epochs=6, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert model.decoder.layers[0].compute_dtype == policy.removeprefix("mixed_")
    derived = "float64" if policy == "float64" else "float32"
    assert model.decoder.layers[0].weights[0].dtype == derived
    for value in (model.reconstruct(x), model.reconstruction_error(x), model.hidden(x)):
        assert value.dtype == derived
        assert np.isfinite(value).all()


# Layer-wise training.


def staged(**kwargs):
    model, shape = convolutional(**kwargs)
    x = data(shape)
    model.adapt(x)
    return model, x


def test_the_stages_are_the_first_layers_and_their_mirrors():
    model, x = staged()
    assert model.layer_count == 3
    kinds = [
        [type(layer).__name__ for layer in model.layer_stage(depth).decoder.layers]
        for depth in (1, 2, 3)
    ]
    assert kinds == [
        ["Reshape", "Unpooling", "TransposedConvolution"],
        ["Dense", "Reshape", "Unpooling", "BatchNormalization", "ReLU", "TransposedConvolution"],
        ["Dense", "Activation", "Dropout", "Dense", "Reshape", "Unpooling", "BatchNormalization",
         "ReLU", "TransposedConvolution"],
    ]  # fmt: skip
    whole = model.layer_stage(3)
    np.testing.assert_array_equal(whole.reconstruct(x), model.reconstruct(x))
    first = model.layer_stage(1)
    assert first.hidden(x).shape == (40, 2 * 2 * 4)
    assert first.reconstruct(x).shape == x.shape


def test_a_stage_trains_the_variables_of_the_whole_model_and_only_its_own():
    model, x = staged()
    everything = {id(v) for v in model.variables}
    for depth in (1, 2, 3):
        stage = model.layer_stage(depth)
        assert stage.normalization is model.normalization
        assert stage.objective is model.objective
        before = {id(v): v.numpy() for v in model.trainable_variables + model.variables}
        assert {id(v) for v in stage.trainable_variables} <= everything
        stage.compile(keras.optimizers.Adam(1e-2), run_eagerly=True)
        history = stage.fit(x, batch_size=20, verbose=0).history
        assert np.isfinite(history["loss"]).all()
        changed = {
            v.path for v in model.network.variables + model.decoder.variables
            if not np.array_equal(before[id(v)], v.numpy()) and "seed" not in v.path
        }  # fmt: skip
        assert changed
        if depth == 1:
            assert not [p for p in changed if "dense" in p]
        elif depth == 3:
            assert all("dense_1" in p for p in changed)
        else:
            assert not [p for p in changed if "conv2d" in p or "dense_1" in p]


def test_a_stage_can_be_saved_with_its_optimizer(tmp_path, recwarn):
    model, shape = small_convolutional(tied=True)
    x = data(shape)
    model.adapt(x)
    stage = model.layer_stage(2)
    stage.compile(keras.optimizers.Adam(1e-2))
    stage.fit(x, verbose=0)
    assert len(stage.trainable_variables) == 3  # a kernel for both uses, and two biases
    stage.save(tmp_path / "stage.keras")
    loaded = keras.saving.load_model(tmp_path / "stage.keras")
    np.testing.assert_allclose(loaded.reconstruct(x), stage.reconstruct(x), rtol=1e-5)
    assert len(loaded.trainable_variables) == len(stage.trainable_variables)
    assert not [w for w in recwarn if "Skipping variable loading" in str(w.message)]


def test_growing_layer_by_layer():
    model, shape = small_convolutional()
    x = data(shape)
    model.adapt(x)
    before = np.mean(model.reconstruction_error(x))
    histories = dv.fit_layerwise(
        model, x, epochs=2, learning_rates=1e-2, joint_epochs=4, batch_size=10, verbose=0
    )
    assert list(histories) == ["layer 1 of 2", "layer 2 of 2", "all layers"]
    assert np.mean(model.reconstruction_error(x)) < before


# Bad input.


def test_an_autoencoder_has_neither_energy_nor_score():
    model, _ = dense()
    assert not hasattr(model, "energy")
    assert not hasattr(model, "score")
    with pytest.raises(TypeError, match=r"ScoreMatching learns an energy, and Autoencoder has no"):
        dense(objective=dv.ScoreMatching())


def branching():
    inputs = keras.Input((6,))
    outputs = L.Add()([L.Dense(3)(inputs), L.Dense(3)(inputs)])
    return keras.Model(inputs, outputs, name="branching")


def test_a_branching_encoder_needs_a_decoder():
    with pytest.raises(ValueError, match=r"the encoder branching branches, .* Pass decoder="):
        dv.Autoencoder(branching(), normalization="none").build((None, 6))
    model = dv.Autoencoder(branching(), decoder=L.Dense(6), normalization="none")
    assert model.reconstruct(data((6,))).shape == (40, 6)
    with pytest.raises(ValueError, match="layer stages need the decoder that mirrors"):
        model.layer_stage(1)


def test_shapes_that_do_not_fit():
    def build(network, **kwargs):
        dv.Autoencoder(network, normalization="none", **kwargs).build((None, 6))

    with pytest.raises(ValueError, match=r"network takes inputs of shape \(7,\), but the data"):
        build(dv.networks.ffnn((4,), input_shape=(7,)))
    with pytest.raises(ValueError, match=r"decoder makes outputs of shape \(5,\), but the data"):
        build(dv.networks.ffnn((4,)), decoder=L.Dense(5))
    with pytest.raises(ValueError, match=r"decoder takes inputs of shape \(3,\), but the encoder"):
        build(dv.networks.ffnn((4,)), decoder=dv.networks.ffnn((6,), input_shape=(3,)))
    with pytest.raises(ValueError, match=r"layer again \(RepeatVector\) cannot be mirrored"):
        build(keras.Sequential([L.Dense(3), L.RepeatVector(2, name="again")]))


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: dv.Autoencoder(3), TypeError, "network must be a Keras model"),
        (lambda: dv.Autoencoder(dv.networks.ffnn((4,)), decoder="mirror"), TypeError,
         "decoder must be a Keras model"),
        (lambda: dv.Autoencoder(dv.networks.ffnn((4,)), decoder=L.Dense(6), tied=True), ValueError,
         "tied and output_activation are for the decoder that mirrors"),
        (lambda: dv.Autoencoder(dv.networks.ffnn((4,)), output_activation="swash"), ValueError,
         "swash"),
        (lambda: dv.ConvAutoencoder(dv.networks.ffnn((4,))), ValueError,
         "needs an encoder with convolutions, .* its layers are Dense; use dv.Autoencoder"),
        (lambda: dense()[0].layer_count, ValueError, "is not built, so its layers are not known"),
        (lambda: staged()[0].layer_stage(4), ValueError, "depth must be a number from 1 to 3"),
    ],
)  # fmt: skip
def test_unknown_names_and_options(build, error, message):
    with pytest.raises(error, match=message):
        build()
