"""Energies that know the noise level."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.curvature import TraceSettings, compute_trace, plan_trace

MODELS = [dv.NoiseConditionalDELVM, dv.NoiseConditionalDEM, dv.NoiseConditionalDSEBM]


def network(shape=(3,), seed=0, **kwargs):
    if len(shape) == 3:
        return dv.networks.level_cnn((3, 2), 3, activation="tanh", seed=seed, **kwargs)
    return dv.networks.level_ffnn((5, 4), "tanh", seed=seed, **kwargs)


def made(kind=dv.NoiseConditionalDELVM, shape=(3,), rng=None, **kwargs):
    """A model in double precision whose weights are not those of the start."""
    model = kind(network(shape, dtype="float64"), normalization="none", dtype="float64", **kwargs)
    model.build((None, *shape))
    rng = np.random.default_rng(1) if rng is None else rng
    for weight in model.trainable_variables:
        weight.assign(weight + rng.normal(0, 0.3, size=weight.shape))
    return model


def adapted(x, kind=dv.NoiseConditionalDELVM, **kwargs):
    """A model of data in raw units, whose weights are not those of the start."""
    model = kind(network(x.shape[1:]), normalization="zscore", **kwargs)
    model.adapt(x)
    draws = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(weight + draws.normal(0, 0.3, size=weight.shape))
    return model


@pytest.mark.parametrize("sigma", [0.05, 0.7, 2.0])
def test_the_energy_is_that_of_the_formula_and_its_hidden_variables_are_summed_out(sigma, rng):
    """At each level g(f) is the sum over the hidden variables of the plain model in units of u."""
    x = rng.normal(size=(4, 3))
    u, level = x / np.sqrt(1 + sigma**2), np.full((4, 1), np.log(sigma))
    for kind in MODELS:
        model = made(kind)
        f = model.network([u, level]).numpy()
        if kind is dv.NoiseConditionalDELVM:
            value, mean = 0.5 * np.square(f).sum(axis=1), f
        else:
            states = np.array(list(itertools.product([0, 1], repeat=f.shape[1])))
            weights = np.exp(f @ states.T)
            value, mean = np.log(weights.sum(axis=1)), weights @ states
            mean /= weights.sum(axis=1, keepdims=True)
        b = model.visible.mean.numpy() if kind is dv.NoiseConditionalDSEBM else 0
        expected = 0.5 * np.square((x - b) / sigma).sum(axis=1) - (1 + 1 / sigma**2) * value
        np.testing.assert_allclose(model.energy(x, sigma=sigma), expected, rtol=1e-10)
        np.testing.assert_allclose(model.hidden(x, sigma=sigma), mean, rtol=1e-10)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("shape", [(3,), (4, 4, 2)])
def test_scores_reconstructions_and_errors_are_slopes_of_the_energy(kind, shape, rng):
    """Against central differences of the energy, value by value."""
    model, x = made(kind, shape), rng.normal(size=(3, *shape))
    size, step = int(np.prod(shape)), 1e-5
    shifts = (step * np.eye(size)).reshape(size, 1, *shape)
    for sigma in (0.1, 1.3):
        above, below = (
            model.energy((x + sign * shifts).reshape(-1, *shape), sigma=sigma).numpy()
            for sign in (1, -1)
        )
        slope = ((above - below) / (2 * step)).reshape(size, 3).T.reshape(x.shape)
        close = {"rtol": 1e-5, "atol": 1e-5 / sigma**2}
        np.testing.assert_allclose(model.score(x, sigma=sigma), -slope, **close)
        rebuilt = model.reconstruct(x, sigma=sigma)
        np.testing.assert_allclose(rebuilt, x - sigma**2 * slope, rtol=1e-5, atol=1e-5)
        error = np.square(sigma * slope).reshape(3, -1).sum(axis=1)
        np.testing.assert_allclose(model.reconstruction_error(x, sigma=sigma), error, rtol=1e-4)


def test_one_level_of_unit_noise_is_a_delvm(rng):
    """E(x, 1) = 2 E(x/√2) of the plain model: energies, scores and gradients in the weights."""
    x = rng.normal(size=(6, 3))
    for kind, plain_kind in zip(MODELS[:2], (dv.DELVM, dv.DEM), strict=True):
        model = made(kind, noise_levels=(1.0,))
        plain = plain_kind(model.network.at_level(1.0, (3,)), normalization="none", dtype="float64")
        plain.build((None, 3))
        half = x / np.sqrt(2)
        np.testing.assert_allclose(model.energy(x), 2 * plain.energy(half))
        np.testing.assert_allclose(model.score(x), np.sqrt(2) * plain.score(half))
        rebuilt = np.sqrt(2) * plain.reconstruct(half)
        np.testing.assert_allclose(model.reconstruct(x), rebuilt)
        error = 2 * plain.reconstruction_error(half)
        np.testing.assert_allclose(model.reconstruction_error(x), error)
        kernels = [layer.kernel.value for layer in model.network.chain[1:]]

        def slopes(energy, at, kernels=kernels):
            with tf.GradientTape() as tape:
                total = tf.reduce_sum(energy(tf.constant(at)))
            return tape.gradient(total, kernels)

        ours, theirs = slopes(model.normalized_energy, x), slopes(plain.normalized_energy, half)
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine, 2 * other)


@pytest.mark.parametrize("kind", MODELS)
def test_all_levels_at_once_are_each_level_by_itself(kind, rng):
    x = rng.normal(2.0, 3.0, size=(60, 3)).astype("float32")
    model = adapted(x, kind, noise_levels=4)
    for levels in (None, [0.3, 0.1]) if kind is dv.NoiseConditionalDELVM else ([0.3, 0.1],):
        energies, errors = model.energies(x, sigmas=levels), model.errors(x, sigmas=levels)
        assert energies.shape == errors.shape == (60, 4 if levels is None else 2)
        for place, sigma in enumerate(levels or model.noise_levels):
            energy, error = model.energy(x, sigma=sigma), model.reconstruction_error(x, sigma=sigma)
            np.testing.assert_allclose(energies[:, place], energy, rtol=1e-3, atol=1e-3)
            np.testing.assert_allclose(errors[:, place], error, rtol=1e-3, atol=1e-4)
    both = model.normalized_energies_and_errors(model.normalized(tf.constant(x)))
    np.testing.assert_allclose(both[0], model.energies(x), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(both[1], model.errors(x), rtol=1e-4, atol=1e-3)
    assert np.ptp(model.errors(x)[0]) > 0


def test_what_takes_no_level_is_at_sigma(rng):
    x = rng.normal(size=(60, 3)).astype("float32")
    model = adapted(x, default_sigma=0.4)
    for name in ("energy", "score", "reconstruct", "reconstruction_error", "hidden", "features"):
        function = getattr(model, name)
        np.testing.assert_array_equal(function(x), function(x, sigma=0.4))
        assert not np.allclose(function(x), function(x, sigma=1.5)), name
    np.testing.assert_allclose(model.predict(x, verbose=0), model.reconstruct(x), atol=1e-5)
    before = model.energy(x).numpy()
    model.default_sigma = 1.5
    np.testing.assert_array_equal(model.energy(x), model.energy(x, sigma=1.5))
    assert not np.allclose(model.energy(x), before)
    in_graph = tf.function(lambda x: model.errors(x))(tf.constant(x))
    np.testing.assert_allclose(in_graph, model.errors(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "shape", "sigma"),
    [
        *((kind, (3,), 0.1) for kind in MODELS), (MODELS[0], (4, 4, 1), 1.5),
        *(pytest.param(kind, (4, 4, 1), 1.5, marks=pytest.mark.slow) for kind in MODELS[1:]),
    ],
)  # fmt: skip
def test_exact_traces_of_a_level_are_those_of_nested_tapes(kind, shape, sigma, rng):
    """The trace of the whole Hessian of E(x, σ) by two tapes, without anything of `curvature`."""
    model, x = made(kind, shape), tf.constant(rng.normal(size=(2, *shape)))
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            energy = model.normalized_energy(x, tf.constant(np.log(sigma)))
        gradient = inner.gradient(energy, x)
    size = int(np.prod(shape))
    hessian = tf.reshape(outer.batch_jacobian(gradient, x), (2, size, size))
    seed = keras.random.SeedGenerator(0)
    for name in ("exact", "basis", "lattice", "nested_tape"):

        def trace(potential, z, name=name):
            plan = plan_trace(name, potential, shape, TraceSettings())
            assert plan.exact
            return compute_trace(plan, potential, z, seed)

        curvature = model.energy_curvature(x, trace, sigma)
        np.testing.assert_allclose(curvature.gradient, gradient, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(curvature.laplacian, tf.linalg.trace(hessian), rtol=1e-6)


def test_traces_know_the_layers_of_a_level():
    """Two 3 × 3 convolutions see 5 × 5 pixels, so that 25 probes do for 10 × 10."""
    model = made(shape=(10, 10, 1))
    plan = plan_trace("lattice", model.potential, (10, 10, 1), TraceSettings())
    assert plan.probe_count == 25


def any_network():
    x, level = keras.Input((3,)), keras.Input((1,))
    h = keras.layers.Dense(8, "tanh")(keras.layers.Concatenate()([x, level]))
    return keras.Model([x, level], keras.layers.Dense(4)(h))


@keras.saving.register_keras_serializable(package="tests")
class Written(keras.Model):
    """A network as a subclass, built on first use."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.layer = keras.layers.Dense(4)

    def build(self, input_shape):
        self.layer.build((None, input_shape[0][-1] + 1))
        self.built = True

    def call(self, inputs):
        return tf.tanh(self.layer(tf.concat(inputs, axis=-1)))

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], 4)


@pytest.mark.parametrize("make", [any_network, Written])
def test_any_keras_network_of_x_and_log_sigma_will_do(make, rng, tmp_path):
    x = rng.normal(size=(50, 3)).astype("float32")
    model = dv.NoiseConditionalDELVM(make())
    model.adapt(x)
    model.compile("adam")
    model.fit(x, verbose=0)
    assert model.features(x).shape == (50, 4)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.errors(x), model.errors(x))


def test_a_copy_has_the_same_levels(rng, tmp_path):
    x = rng.normal(size=(50, 3)).astype("float32")
    model = adapted(
        x,
        dv.NoiseConditionalDSEBM,
        noise_levels=3,
        smallest_noise=0.1,
        largest_noise=1.0,
        default_sigma=0.5,
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    cloned = type(model).from_config(model.get_config())
    for copy in (loaded, cloned):
        assert copy.noise_levels == model.noise_levels
        np.testing.assert_allclose(copy.noise_levels, [1.0, np.sqrt(0.1), 0.1])
        assert (copy.default_sigma, copy.visible.bias) == (0.5, "each")
    np.testing.assert_array_equal(loaded.errors(x), model.errors(x))


def test_it_detects_and_is_exported(rng, tmp_path):
    x = rng.normal(size=(200, 3)).astype("float32")
    model = adapted(x)
    detector = dv.AnomalyDetector(model, "contamination").fit(x)
    assert detector.predict(x + 50).mean() == -1
    version = dv.export_saved_model(model, tmp_path / "model")
    served = tf.saved_model.load(str(version)).signatures
    got = served["reconstruction_error"](x=tf.constant(x))["reconstruction_error"]
    np.testing.assert_allclose(got, model.reconstruction_error(x), rtol=1e-4)


def test_tensorboard_shows_it(rng, tmp_path):
    x = rng.normal(size=(60, 3)).astype("float32")
    model = dv.NoiseConditionalDELVM(network())
    model.adapt(x)
    model.compile("adam")
    model.fit(x, verbose=0, callbacks=[dv.TensorBoard(tmp_path / "log", (x, x[:, 0] > 0.5))])
    assert list((tmp_path / "log").rglob("events*"))


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda: dv.NoiseConditionalDELVM(dv.networks.ffnn()), "takes no noise level"),
        (TypeError, lambda: dv.NoiseConditionalDELVM("ffnn"), "Keras model of .x, log σ."),
        (ValueError, lambda: made(noise_levels=(0.1, 1.0)), "must go down from the largest"),
        (
            ValueError,
            lambda: made(noise_levels=(1.0, 0.1), smallest_noise=0.2),
            "are the levels themselves",
        ),
        (ValueError, lambda: made(noise_levels=1), "noise_levels must be two or more"),
        (ValueError, lambda: made(largest_noise=0.01), "must be less than largest_noise=0.01"),
        (ValueError, lambda: made(default_sigma=3.0), "between the smallest and the largest level"),
        (ValueError, lambda: made().energy(np.ones((2, 3)), sigma=0.01), "0.05 and 2, got 0.01"),
        (ValueError, lambda: made().errors(np.ones((2, 3)), sigmas=[0.0]), "must be a positive"),
        (TypeError, lambda: dv.NoiseConditionalScoreMatching("yes"), "must be True or False"),
        (TypeError, lambda: made(objective=dv.ScoreMatching()), "learns one energy of x"),
        (TypeError, lambda: made(objective=dv.Reconstruction()), "at one noise level"),
        (
            TypeError,
            lambda: dv.DELVM(dv.networks.ffnn(), dv.NoiseConditionalScoreMatching()),
            "DELVM has one energy of x; use objective=dv.ScoreMatching",
        ),
        (ValueError, lambda: made(dv.NoiseConditionalDSEBM, visible_bias=None), "visible bias"),
    ],
)
def test_wrong_arguments_are_refused(error, call, message):
    with pytest.raises(error, match=message):
        call()
