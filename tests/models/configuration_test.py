"""Whatever Keras can save says all about itself, and is the same again."""

import inspect

import keras
import numpy as np
import pytest

import delvm_tf as dv
from delvm_tf import samplers
from delvm_tf.models.mixture_prior import MixturePrior
from delvm_tf.models.visible import QuadraticVisible
from delvm_tf.networks.constraints import NonPositive, SpectralNorm
from delvm_tf.networks.level_network import _Series
from delvm_tf.networks.transposed import TransposedConvolution, TransposedDense, Unpooling
from delvm_tf.normalization import InputNormalization

NAMES = ("a", "b", "c", "d")


def dense():
    return dv.networks.ffnn((5, 3), "softplus", seed=0)


def conv():
    return dv.networks.cnn((2, 3), 3, seed=0)


def levels():
    return dv.networks.level_ffnn((5, 3), "silu", seed=0, waves=4)


def normalization():
    return InputNormalization("zca", scale=2.0, zca_epsilon=0.3, feature_names=NAMES)


COMMON = {"normalization": "zscore", "scale": 2.0}
AT_LEVELS = {
    **COMMON, "objective": dv.NoiseConditionalScoreMatching(seed=3), "noise_levels": (3.0, 0.5),
    "default_sigma": 2.0, "visible_bias": "each", "preconditioned": True,
}  # fmt: skip
RBM = {**COMMON, "visible_precision": "diagonal", "kernel_initializer": "he_normal", "seed": 3}
ENERGY = {**COMMON, "visible_precision": "diagonal", "visible_bias": "each"}
LEVELS = {"rho": 5.0, "largest": 1.5, "smallest": 0.2, "denoise": False}
CD = {
    "k": 2, "persistent": True, "sampler": samplers.MALA(0.2), "chains": 7, "buffer": 20,
    "restart": 0.1, "data_noise": 0.2, "energy_regularization": 0.3, "seed": 4,
}  # fmt: skip


def cd(**settings):
    return dv.ContrastiveDivergence(k=2, chains=6, data_noise=0.1, seed=4, **settings)


# An example of every class, no argument with its default.
EXAMPLES = {
    "NonPositive": NonPositive,
    "SpectralNorm": lambda: SpectralNorm(0.7),
    "InputNormalization": normalization,
    "AnnealedLangevin": lambda: samplers.AnnealedLangevin((1.0, 0.3), 0.02),
    "Gibbs": lambda: samplers.Gibbs(0.5),
    "Langevin": lambda: samplers.Langevin(0.2, 0.1, 0.3),
    "MALA": lambda: samplers.MALA(0.2),
    "LevelLangevin": lambda: samplers.LevelLangevin(7, 0.2, **LEVELS),
    "LevelMALA": lambda: samplers.LevelMALA(7, 0.2, **LEVELS),
    "ProbabilityFlow": lambda: samplers.ProbabilityFlow("euler", **LEVELS),
    "ReverseDiffusion": lambda: samplers.ReverseDiffusion(2, 0.2, **LEVELS),
    "TransposedDense": lambda: TransposedDense(4, use_bias=False),
    "TransposedConvolution": lambda: TransposedConvolution((6, 6, 2), (3, 3), (2, 2), "valid"),
    "Unpooling": lambda: Unpooling((6, 6, 2), (3, 3), (2, 2), "same"),
    "FeedForward": lambda: dv.networks.ffnn((3, 2), seed=0),
    "AUROC": lambda: dv.metrics.AUROC(capacity=100),
    "AveragePrecision": lambda: dv.metrics.AveragePrecision(capacity=100),
    "Reconstruction": lambda: dv.Reconstruction(0.2, 5),
    "ScoreMatching": lambda: dv.ScoreMatching(
        "hutchinson", probes=3, cost=3.0, memory_budget=1.5, evaluation_trace="basis",
        sign="as_printed", seed=7,
    ),
    "ContrastiveDivergence": lambda: dv.ContrastiveDivergence(**CD),
    "DenoisingScoreMatching": lambda: dv.DenoisingScoreMatching(0.9, 0.1, 4, 0.5, seed=3),
    "SlicedScoreMatching": lambda: dv.SlicedScoreMatching(2, False, "rademacher", 1.5, 3),
    "QuadraticVisible": lambda: QuadraticVisible("full", "channel"),
    "MixturePrior": lambda: MixturePrior(3, 2),
    "Autoencoder": lambda: dv.Autoencoder(
        dense(), tied=True, objective=dv.Reconstruction(0.1, 2), output_activation="sigmoid",
        **COMMON,
    ),
    "ConvAutoencoder": lambda: dv.ConvAutoencoder(conv(), **COMMON),
    "BernoulliRBM": lambda: dv.BernoulliRBM(3, cd(), "minmax", "he_normal", 3),
    "GaussianRBM": lambda: dv.GaussianRBM(3, cd(), **RBM),
    "ConvRBM": lambda: dv.ConvRBM(3, 2, 2, "valid", cd(), **RBM),
    "DBN": lambda: dv.DBN((5, 3), cd(), upper_inputs="sample", **RBM),
    "DBM": lambda: dv.DBM((5, 3), 4, cd(persistent=True), **RBM),
    "CEBM": lambda: dv.CEBM(dense(), 3, 2, dv.SlicedScoreMatching(2), **ENERGY),
    "DELVM": lambda: dv.DELVM(dense(), dv.ScoreMatching("basis", seed=3), **ENERGY),
    "DEM": lambda: dv.DEM(dense(), cd(), **ENERGY),
    "DSEBM": lambda: dv.DSEBM(dense(), cd(), **{**ENERGY, "visible_bias": "channel"}),
    "LevelNetwork": levels,
    "LevelUNet": lambda: dv.networks.LevelUNet((3, 4), (1, 2), "tanh", 5, 3, "lecun_normal", 1),
    "_Series": _Series,
    "NoiseConditionalScoreMatching": lambda: dv.NoiseConditionalScoreMatching(True, seed=3),
    "DualScoreMatching": lambda: dv.DualScoreMatching(2.0, seed=3),
    "NoiseConditionalDELVM": lambda: dv.NoiseConditionalDELVM(levels(), **AT_LEVELS),
    "NoiseConditionalDEM": lambda: dv.NoiseConditionalDEM(levels(), **AT_LEVELS),
    "NoiseConditionalDSEBM": lambda: dv.NoiseConditionalDSEBM(levels(), **AT_LEVELS),
    "DensityDELVM": lambda: dv.DensityDELVM(
        levels(), dv.DualScoreMatching(2.0), noise_levels=(20.0, 0.2), default_sigma=2.0, **COMMON
    ),
}  # fmt: skip

# Arguments that the configuration of another object holds.
ELSEWHERE = {
    "scale": "normalization",
    "units": "machines", "objective": "machines", "visible_precision": "machines",
    "smallest": "sigma", "levels": "sigma",
    "smallest_noise": "noise_levels", "largest_noise": "noise_levels",
    "hidden_layer": "units", "machines": "units", "data_format": "target_shape",
}  # fmt: skip
MODELS = [
    name for name in EXAMPLES if issubclass(getattr(dv, name, object), keras.Model)
]  # fmt: skip
QUICK = {("CEBM", 1), ("DBN", 2), ("Autoencoder", 1)}
GROWING = ["Autoencoder", "ConvAutoencoder", "DBN", "DBM", "CEBM", "DELVM", "DEM", "DSEBM"]


def test_every_class_that_can_be_saved_has_an_example():
    registered = keras.saving.get_custom_objects()
    ours = {key.split(">")[1] for key in registered if key.startswith("delvm_tf>")}
    assert ours == {*EXAMPLES}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_configuration_is_whole_and_makes_the_same_again(name):
    example = EXAMPLES[name]()
    config = example.get_config()
    wanted = {
        key for key, parameter in inspect.signature(type(example).__init__).parameters.items()
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and key != "self"
    }  # fmt: skip
    assert {key for key in wanted - {*config} if ELSEWHERE.get(key) not in config} == set()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(example))
    assert again.get_config() == config
    again = type(example).from_config(example.get_config())
    assert again.get_config() == config


def settings(config):
    """A configuration without the shapes that objects were built for, which others state."""
    if isinstance(config, dict):
        left_out = ("build_config", "shared_object_id")
        return {key: settings(value) for key, value in config.items() if key not in left_out}
    if isinstance(config, list | tuple):
        return [settings(value) for value in config]
    return config


def adapted(name, rng):
    model = EXAMPLES[name]()
    shape = (6, 6, 1) if name.startswith("Conv") else (4,)
    x = rng.uniform(size=(12, *shape)).astype("float32")
    model.adapt(x)
    return model, x


def trained(name, rng):
    model, x = adapted(name, rng)
    model.compile("adam")
    model.fit(x, batch_size=4, epochs=1, verbose=0)
    return model, x


def assert_same_after_loading(model, x, folder):
    model.save(folder / "model.keras")
    loaded = keras.saving.load_model(folder / "model.keras")
    assert settings(loaded.get_config()) == settings(model.get_config())
    for ours, theirs in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)
    functions = ["reconstruct", "hidden"] + ["energy"] * hasattr(model, "energy")
    for function in functions:
        np.testing.assert_array_equal(getattr(loaded, function)(x), getattr(model, function)(x))
    assert len(loaded.trainable_variables) == len(model.trainable_variables)
    return loaded


@pytest.mark.parametrize(
    "name",
    [n if n == "BernoulliRBM" else pytest.param(n, marks=pytest.mark.slow) for n in MODELS],
)
def test_a_saved_model_is_the_same_again(name, rng, tmp_path):
    assert_same_after_loading(*trained(name, rng), tmp_path)


STAGES = [
    pytest.param(name, depth, marks=[] if (name, depth) in QUICK else pytest.mark.slow)
    for name in GROWING for depth in (1, 2)
]  # fmt: skip


@pytest.mark.parametrize(("name", "depth"), STAGES)
def test_a_saved_layer_stage_is_the_same_again(name, depth, rng, tmp_path):
    model, x = adapted(name, rng)
    stage = model.layer_stage(depth)
    stage.compile("adam")
    stage.fit(x, batch_size=4, epochs=1, verbose=0)
    assert_same_after_loading(stage, x, tmp_path)
    if hasattr(model, "visible"):
        assert stage.visible is model.visible
    assert stage.normalization is model.normalization


class Tempered(dv.DELVM):
    """A model of a user, with an argument of its own."""

    def __init__(self, network, temperature=1.0, **kwargs):
        super().__init__(network, **kwargs)
        self.temperature = temperature

    def normalized_energy(self, z):
        return super().normalized_energy(z) / self.temperature

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature}


def test_a_stage_keeps_the_arguments_of_a_subclass(rng):
    model = Tempered(dense(), temperature=3.0, **ENERGY)
    x = rng.normal(size=(8, 4)).astype("float32")
    model.adapt(x)
    stage = model.layer_stage(1)
    assert stage.temperature == 3.0
    assert stage.visible.precision == "diagonal"
    h = model.network.layers[0](model.normalization(x))
    z = model.normalization(x)
    expected = (0.5 * np.square(z).sum(1) - 0.5 * np.square(h).sum(1)) / 3.0
    np.testing.assert_allclose(stage.energy(x), expected, rtol=1e-4, atol=1e-5)
