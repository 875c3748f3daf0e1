"""A saved model is the same model, in another process too."""

import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv

VARIANTS = {
    "dense": ((6,), lambda: dv.DELVM(dv.networks.ffnn((8,), seed=0), scale=2.0)),
    "deep": ((6,), lambda: dv.DELVM(dv.networks.ffnn((8, 4), "softplus", seed=0))),
    "convolutional": (
        (6, 6, 1),
        lambda: dv.DELVM(
            dv.networks.cnn((4,), 3, bias_constraint="non_positive"), normalization="zca"
        ),
    ),
    "precision": (
        (6,),
        lambda: dv.DELVM(
            dv.networks.ffnn((8,)), normalization="zscore", visible_precision="full"
        ),
    ),
    "objective": (
        (6,),
        lambda: dv.DELVM(
            dv.networks.ffnn((8, 4)), normalization="minmax",
            objective=dv.ScoreMatching("hutchinson", probes=3, evaluation_trace="basis", seed=7),
        ),
    ),
}  # fmt: skip

SCORE_IN_ANOTHER_PROCESS = """
import sys
import numpy as np
import keras
import delvm_tf
model = keras.saving.load_model(sys.argv[1])
x = np.load(sys.argv[2])["x"]
np.savez(sys.argv[3], **{
    name: getattr(model, name)(x).numpy() for name in sys.argv[4:]
})
"""
SCORES = ("energy", "score", "reconstruct", "reconstruction_error", "hidden", "features")


def trained(variant):
    shape, build = VARIANTS[variant]
    x = np.random.default_rng(0).normal(2.0, 3.0, size=(40, *shape)).astype("float32")
    model = build()
    model.adapt(x)
    model.compile(keras.optimizers.Adam(1e-3))
    model.fit(x, batch_size=10, epochs=2, verbose=0)
    return model, x


@pytest.mark.slow  # that all models load there, catalog/every_model_test.py tells
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_fresh_process_gives_bit_equal_scores(variant, tmp_path):
    model, x = trained(variant)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "x.npz", x=x)
    paths = [tmp_path / name for name in ("model.keras", "x.npz", "scores.npz")]
    arguments = [*map(str, paths), *SCORES]
    subprocess.run([sys.executable, "-c", SCORE_IN_ANOTHER_PROCESS, *arguments], check=True)
    scores = np.load(paths[2])
    assert set(scores.files) == set(SCORES)
    for name in scores.files:
        # one thread here, several there: only the order of sums over examples could differ
        np.testing.assert_array_equal(scores[name], getattr(model, name)(x).numpy(), err_msg=name)


@pytest.mark.parametrize(
    "variant",
    [pytest.param(v, marks=pytest.mark.slow if v in ("dense", "deep") else ()) for v in VARIANTS],
)
def test_a_loaded_model_has_the_same_configuration_and_goes_on_training(variant, tmp_path):
    model, x = trained(variant)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.normalization.mode == model.normalization.mode
    assert loaded.normalization.scale == model.normalization.scale
    for name in ("trace", "probes", "evaluation_trace", "sign", "seed"):
        assert getattr(loaded.objective, name) == getattr(model.objective, name)
    assert loaded.visible.precision == model.visible.precision
    for ours, theirs in zip(model.network.layers, loaded.network.layers, strict=True):
        assert type(ours) is type(theirs)
        assert ours.activation == theirs.activation
        assert type(ours.bias_constraint) is type(theirs.bias_constraint)
    assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations) == 8
    for name in SCORES:
        np.testing.assert_array_equal(getattr(loaded, name)(x), getattr(model, name)(x))
    histories = [
        m.fit(x, batch_size=10, epochs=1, verbose=0, shuffle=False).history for m in (model, loaded)
    ]
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-5)


def test_the_state_of_the_random_generator_is_saved(tmp_path):
    model, _ = trained("objective")
    state = model.objective.seed_generator.state.numpy()
    assert state[1] > 0
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.objective.seed_generator.state, state)
    fresh, _ = trained("objective")
    fresh.objective.seed_generator.state.assign([0, 0])
    fresh.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(fresh.objective.seed_generator.state, state)


def test_weights_bring_the_normalisation_with_them(tmp_path):
    model, x = trained("dense")
    model.save_weights(tmp_path / "model.weights.h5")
    other = VARIANTS["dense"][1]()
    other.build((None, 6))
    with pytest.raises(ValueError, match="not adapted"):
        other.energy(x)
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other.energy(x), model.energy(x))


def test_weights_saved_with_another_objective_are_refused(tmp_path):
    model, _ = trained("dense")
    model.save_weights(tmp_path / "model.weights.h5")

    class WithTwoGenerators(dv.ScoreMatching):
        def __init__(self):
            super().__init__()
            self.other_generator = keras.random.SeedGenerator(0)

        def compute(self, model, z, training):
            raise AssertionError

    other = dv.DELVM(dv.networks.ffnn((8,)), objective=WithTwoGenerators())
    other.build((None, 6))
    with pytest.raises(ValueError, match="saved with another objective"):
        other.load_weights(tmp_path / "model.weights.h5")


def test_a_damaged_file_is_refused(tmp_path):
    model, _ = trained("dense")
    path = tmp_path / "model.keras"
    model.save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises((ValueError, OSError, zipfile.BadZipFile)):
        keras.saving.load_model(path)


def test_a_lambda_layer_is_not_loaded(tmp_path):
    network = keras.Sequential([keras.layers.Dense(4), keras.layers.Lambda(lambda t: t * 2)])
    model = dv.DELVM(network, normalization="none")
    model.build((None, 6))
    model.save(tmp_path / "model.keras")
    with pytest.raises((ValueError, TypeError), match=r"[Ll]ambda|unsafe|safe_mode"):
        keras.saving.load_model(tmp_path / "model.keras")


STATEFUL = {
    "delvm": lambda cd: dv.DELVM(dv.networks.ffnn((8, 4)), objective=cd),
    "dbn": lambda cd: dv.DBN((8, 4), objective=cd),
    "dbm": lambda cd: dv.DBM((8, 4), objective=cd),
}


@pytest.mark.parametrize("kind", STATEFUL)
def test_a_checkpoint_of_tensorflow_holds_all_state(kind, tmp_path):
    """Layers in Keras's lists, chains and random generators too, and without an optimizer."""
    x = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")

    def made():
        chains = dv.ContrastiveDivergence(persistent=True, chains=4, buffer=8)
        model = STATEFUL[kind](chains)
        model.adapt(x)
        return model

    model = made()
    for variable in model.variables:
        if "seed" not in variable.path:
            variable.assign(variable + keras.ops.cast(1, variable.dtype))
    other = made()
    path = tf.train.Checkpoint(model).save(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(other).restore(path).assert_consumed()
    for ours, theirs in zip(model.variables, other.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)


def test_names_that_keras_could_not_load_are_refused_as_they_were_given(tmp_path):
    model, _ = trained("dense")
    with pytest.raises(ValueError, match=r"cannot be saved as .*m\.h5, .*ends in \.keras"):
        model.save(tmp_path / "m.h5")
    with pytest.raises(ValueError, match=r"filepath=.*/m\.$"):
        model.save(tmp_path / "m")
    with pytest.raises(ValueError, match=r"filepath=.*/w\.h5"):
        model.save_weights(tmp_path / "w.h5")
    with pytest.raises(ValueError, match="got the address gs:/bucket"):
        model.save(Path("gs://bucket/m.keras"))
    assert list(tmp_path.iterdir()) == []
