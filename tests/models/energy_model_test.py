"""What every model does with what users hand it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv

KINDS = {
    "dense": ((6,), lambda: dv.networks.ffnn((5,), activation="softplus", seed=0)),
    "deep dense": ((6,), lambda: dv.networks.ffnn((5, 4), activation="tanh", seed=0)),
    "convolutional": ((6, 6, 2), lambda: dv.networks.cnn((4,), 3, seed=0)),
    "deep convolutional": ((6, 6, 1), lambda: dv.networks.cnn((4, 3), 3, seed=0)),
    "sequence": ((9, 2), lambda: keras.Sequential([keras.layers.Conv1D(4, 3, activation="relu")])),
}


def make(kind="dense", **kwargs):
    shape, network = KINDS[kind]
    return dv.DELVM(network(), **{"scale": 2.0, **kwargs}), shape


def adapted(kind="dense", n=50, **kwargs):
    model, shape = make(kind, **kwargs)
    x = np.random.default_rng(1).normal(3.0, 2.0, size=(n, *shape)).astype("float32")
    model.adapt(x)
    return model, x


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_derivatives_of_the_energy_in_normalised_units(kind):
    model, x = adapted(kind, n=3)
    z = model.normalization(x)
    with tf.GradientTape() as tape:
        tape.watch(z)
        energy = model.normalized_energy(z)
    gradient = tape.gradient(energy, z).numpy()
    error = np.square(gradient).reshape(3, -1).sum(axis=1)
    np.testing.assert_allclose(model.energy(x), energy, rtol=1e-5)
    np.testing.assert_allclose(model.score(x), -gradient, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.reconstruction_error(x), error, rtol=1e-4)
    rebuilt = model.normalization.invert(z - gradient)
    np.testing.assert_allclose(model.reconstruct(x), rebuilt, rtol=1e-4, atol=1e-4)


def test_energy_is_half_the_input_norm_minus_half_the_hidden_norm():
    model, x = adapted()
    z, h = model.normalization(x).numpy(), model.hidden(x).numpy()
    np.testing.assert_allclose(h, model.network(z), rtol=1e-5)
    expected = 0.5 * (z**2).sum(axis=1) - 0.5 * (h**2).sum(axis=1)
    np.testing.assert_allclose(model.energy(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "method", ["energy", "score", "reconstruct", "reconstruction_error", "hidden", "features"]
)
def test_batches_do_not_change_the_answer(method):
    model, x = adapted("convolutional", n=23)
    whole = getattr(model, method)(x)
    in_parts = getattr(model, method)(x, batch_size=5)
    np.testing.assert_allclose(in_parts, whole, rtol=1e-4, atol=1e-5)
    streamed = getattr(model, method)(tf.data.Dataset.from_tensor_slices((x, x)).batch(7))
    np.testing.assert_allclose(streamed, whole, rtol=1e-4, atol=1e-5)


def test_predict_reconstructs_in_raw_units():
    model, x = adapted()
    np.testing.assert_allclose(model.predict(x, verbose=0), model.reconstruct(x), rtol=1e-5)
    np.testing.assert_allclose(model(x), model.reconstruct(x), rtol=1e-5)


def test_methods_become_part_of_a_graph():
    model, x = adapted()
    compiled = tf.function(lambda t: model.energy(t) + model.reconstruction_error(t))
    expected = model.energy(x) + model.reconstruction_error(x)
    np.testing.assert_allclose(compiled(tf.constant(x)), expected, rtol=1e-5)


def test_gradients_flow_through_the_public_functions():
    model, x = adapted()
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        energy = model.energy(x)
    per_raw_unit = -model.score(x).numpy() * model.normalization.gain.numpy()
    np.testing.assert_allclose(tape.gradient(energy, x), per_raw_unit, rtol=1e-4, atol=1e-5)


def test_uint8_images_are_taken_in_raw_units(rng):
    model, _ = make("convolutional")
    x = rng.integers(0, 256, size=(20, 6, 6, 2)).astype("uint8")
    model.adapt(x)
    np.testing.assert_allclose(model.energy(x), model.energy(x.astype("float32")), rtol=1e-5)
    np.testing.assert_allclose(model.energy(x), model.energy(x.astype("float64")), rtol=1e-5)
    model.compile()
    assert np.isfinite(model.fit(x, batch_size=5, verbose=0).history["loss"]).all()


def test_features_are_the_pooled_maps_of_all_layers():
    model, x = adapted("deep convolutional", n=4)
    z = model.normalization(x)
    first = model.network.layers[0](z)
    second = model.network.layers[1](first)
    pooled = [
        keras.layers.MaxPooling2D(2)(m).numpy().reshape(4, -1) for m in (first, second)
    ]  # fmt: skip
    np.testing.assert_allclose(model.features(x), np.concatenate(pooled, axis=1), rtol=1e-5)
    np.testing.assert_allclose(model.features(x, layers="last"), pooled[1], rtol=1e-5)
    assert model.features(x, pool=None).shape == (4, 6 * 6 * (4 + 3))


def test_features_of_separate_activations_are_taken_after_them(rng):
    layers = keras.layers
    network = keras.Sequential([layers.Dense(5), layers.ReLU(), layers.Dense(3)])
    model = dv.DELVM(network, normalization="none")
    x = rng.normal(size=(4, 6)).astype("float32")
    hidden = np.maximum(model.network.layers[0](x), 0) if model.build((None, 6)) is None else None
    expected = np.concatenate([hidden, model.network(x)], axis=1)
    np.testing.assert_allclose(model.features(x), expected, rtol=1e-5)


def test_a_functional_network_with_a_skip_connection_trains(rng):
    inputs = keras.Input((6,))
    first = keras.layers.Dense(6, activation="softplus")(inputs)
    outputs = keras.layers.Add()([first, keras.layers.Dense(6, activation="softplus")(first)])
    model = dv.DELVM(keras.Model(inputs, outputs))
    x = rng.normal(size=(40, 6)).astype("float32")
    model.adapt(x)
    model.compile(keras.optimizers.Adam(1e-2))
    losses = model.fit(x, batch_size=10, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_any_energy_will_do(rng):
    """A subclass that gives nothing but an energy is trained and scored like the others."""

    class Quartic(dv.EnergyModel):
        def build_parameters(self, input_shape):
            self.strength = self.add_weight(shape=(), initializer="ones", name="strength")

        def normalized_energy(self, z):
            return 0.25 * self.strength * tf.reduce_sum(tf.square(tf.square(z)), axis=1)

    model = Quartic(normalization="none")
    x = rng.normal(size=(500, 3)).astype("float32")
    model.compile(keras.optimizers.Adam(0.05), steps_per_execution=50)
    model.fit(tf.data.Dataset.from_tensors(x).repeat(200), verbose=0)
    # minimise E[½s²x⁶ − 3s x²] per input: s = 3 E x² / E x⁶
    expected = 3 * np.mean(x**2) / np.mean(x**6)
    assert float(model.strength) == pytest.approx(expected, rel=1e-2)
    np.testing.assert_allclose(model.score(x), -float(model.strength) * x**3, rtol=1e-4)
    with pytest.raises(TypeError, match="Quartic defines no hidden variables"):
        model.hidden(x)


@pytest.mark.parametrize(
    "precision",
    [
        pytest.param("scalar", marks=pytest.mark.slow),
        pytest.param("diagonal", marks=pytest.mark.slow),
        "full",
    ],
)
def test_learned_precision_without_a_network_is_the_inverse_covariance(precision, rng):
    network = keras.Sequential([keras.layers.Dense(1, kernel_initializer="zeros", use_bias=False)])
    network.trainable = False
    model = dv.DELVM(network, normalization="none", visible_precision=precision)
    mixing = np.array([[1.5, 0.4], [0.0, 0.6]])
    x = (rng.normal(size=(4000, 2)) @ mixing).astype("float32")
    model.build((None, 2))
    schedule = keras.optimizers.schedules.CosineDecay(0.05, 400)
    model.compile(keras.optimizers.Adam(schedule), steps_per_execution=100)
    model.fit(tf.data.Dataset.from_tensors(x).repeat(400), verbose=0)
    second_moment = x.T.astype("float64") @ x / len(x)
    expected = {
        "scalar": np.eye(2) * 2 / np.trace(second_moment),
        "diagonal": np.diag(1 / np.diag(second_moment)),
        "full": np.linalg.inv(second_moment),
    }[precision]
    np.testing.assert_allclose(-model.score(np.eye(2, dtype="float32")), expected, atol=0.02)
    points = rng.normal(size=(5, 2)).astype("float32")
    energy = 0.5 * np.einsum("ni,ij,nj->n", points, expected, points)
    np.testing.assert_allclose(model.energy(points), energy, atol=0.05)


def test_summary_names_the_parts(capsys):
    model, _ = adapted()
    model.summary()
    printed = capsys.readouterr().out
    for name in ("ffnn", "normalization", "score_matching"):
        assert name in printed


def test_same_seed_same_run_and_another_seed_another(rng):
    x = rng.normal(size=(60, 6)).astype("float32")

    def losses(seed):
        keras.utils.set_random_seed(seed)
        model = dv.DELVM(dv.networks.ffnn((8, 4)), objective=dv.ScoreMatching("hutchinson"))
        model.adapt(x)
        model.compile()
        return model.fit(x, batch_size=10, epochs=2, verbose=0).history["loss"]

    first = losses(1)
    assert losses(1) == first
    assert losses(2) != first
