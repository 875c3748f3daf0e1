"""The same demands on every model with every objective that it can be learned by."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from delvm_tf.catalog import MODELS, OBJECTIVES, make_model, make_objective

PAIRS = [(model, objective) for model, kind in MODELS.items() for objective in kind.objectives]


def marked(shortened):
    """All pairs; those that are left out of the short list of tests are marked as slow."""
    return [pair if shortened(*pair) else pytest.param(*pair, marks=pytest.mark.slow)
            for pair in PAIRS]  # fmt: skip


# Other models have these as their usual objective; the DELVM learns by the rest.
USUAL = {"dbm": "persistent-cd", "cebm-mixture": "denoising", "dbn": "cd",
         "autoencoder": "reconstruction"}  # fmt: skip
# Their own tests save them, load them and go on training.
ELSEWHERE = {
    ("density-delvm", "dual"), ("delvm", "langevin-cd"), ("delvm", "sliced"), ("dbn", "cd"),
    ("conv-autoencoder", "reconstruction"), ("autoencoder", "reconstruction"),
    ("gaussian-rbm", "score-matching"), ("dem", "score-matching"), ("cebm", "score-matching"),
}  # fmt: skip
# Their own tests train them in mixed precision, or they differ from others in the outer function.
MIXED_ELSEWHERE = {
    "autoencoder", "conv-autoencoder", "gaussian-rbm", "dbn", "dbm", "cebm-mixture", "cebm",
    "dsebm", "nc-dem", "nc-dsebm",
}  # fmt: skip


def usual(model, objective):
    """Each model with its usual objective, and each objective with one model."""
    if model in ("nc-dem", "nc-dsebm"):  # which differ from the DELVM in their outer function alone
        return False
    if (model, objective) in ELSEWHERE:
        return False
    first = USUAL.get(model, MODELS[model].objectives[0])
    return objective == first or (model == "delvm" and objective not in USUAL.values())


SMALL_OBJECTIVES = {
    "cd": {"k": 2},
    "persistent-cd": {"k": 2, "chains": 16},
    "langevin-cd": {"k": 5, "step_size": 0.1, "chains": 16, "buffer": 32},
    "denoising": {"sigma": 0.5},
}
SMALL_MODELS = {
    "gaussian-rbm": {"units": [8]},
    "conv-rbm": {"filters": [4], "kernel_size": 3},
    "conv-autoencoder": {"filters": [4, 3], "kernel_size": 3, "activation": "softplus"},
    "dbn": {"units": [8, 5]},
    "dbm": {"units": [8, 5], "mean_field_steps": 3},
    "cebm": {"units": [8], "activation": "softplus", "latents": 3},
    "cebm-mixture": {"units": [8], "activation": "softplus", "latents": 3, "components": 2},
}


def data_for(model, n=96):
    """Few directions of large variance and many of small."""
    rng = np.random.default_rng(0)
    shape = (6, 6, 1) if MODELS[model].layers == "filters" or model[:4] == "conv" else (6,)
    size = int(np.prod(shape))
    x = rng.normal(size=(n, 2)) @ rng.normal(size=(2, size)) + 0.3 * rng.normal(size=(n, size))
    return x.reshape(n, *shape).astype("float32")


def make(model, objective, seed=0, dtype=None, **settings):
    keras.utils.set_random_seed(seed)
    loss = make_objective(objective, seed=seed, **SMALL_OBJECTIVES.get(objective, {}))
    layers = SMALL_MODELS.get(model, {"units": [8, 5], "activation": "softplus"})
    small = keras.initializers.VarianceScaling(0.3, seed=seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype or policy)
    try:
        return make_model(
            model, loss, seed=seed, scale=1.5, kernel_initializer=small, **layers, **settings
        )
    finally:
        keras.config.set_dtype_policy(policy)


def compiled(made, x, **kwargs):
    made.adapt(x)
    made.compile(keras.optimizers.Adam(1e-2), **kwargs)
    return made


def stream(x):
    return tf.data.Dataset.from_tensor_slices(x).batch(32, drop_remainder=True)


def scores(made, x):
    names = [n for n in ("energy", "reconstruction_error") if hasattr(made, n)]
    return {name: np.asarray(getattr(made, name)(x)) for name in names}


@pytest.mark.parametrize(("model", "objective"), marked(usual))
def test_training_learns_scores_and_goes_on_from_a_file_as_if_nothing_had_been(
    model, objective, tmp_path
):
    """Weights, optimizer, chains and random numbers: the second half repeats itself exactly."""
    x = data_for(model)
    made = compiled(make(model, objective), x)
    first = made.fit(stream(x), epochs=8, verbose=0).history
    made.save(tmp_path / "model.keras")
    second = made.fit(stream(x), epochs=8, verbose=0).history
    # The loss of contrastive divergence says nothing; the error of what is learned does.
    watched = "reconstruction_error" if "cd" in objective else "loss"
    assert np.mean(second[watched][-4:]) < first[watched][0]
    assert all(np.isfinite(values).all() for values in second.values())
    expected = scores(made, x)
    for name, values in expected.items():
        assert values.shape == (len(x),), name
        assert np.isfinite(values).all(), name

    loaded = keras.saving.load_model(tmp_path / "model.keras")
    again = loaded.fit(stream(x), epochs=8, verbose=0).history
    np.testing.assert_allclose(again["loss"], second["loss"], rtol=1e-5)
    for name, values in scores(loaded, x).items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(made.objective.variables, loaded.objective.variables, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_everything_can_be_asked_of_every_model(model):
    x = data_for(model, n=20)
    made = compiled(make(model, MODELS[model].objectives[0]), x, run_eagerly=True)
    assert made.reconstruct(x).shape == x.shape
    assert made.hidden(x).shape[0] == made.features(x).shape[0] == len(x)
    assert np.isfinite(made.evaluate(x, verbose=0, return_dict=True)["loss"])
    np.testing.assert_allclose(
        made.predict(x, verbose=0), made.reconstruct(x), rtol=1e-4, atol=1e-4
    )
    if hasattr(made, "sample"):
        samples = made.sample(3, made.chain_sampler, steps=2, seed=0)
        assert samples.shape == (3, *x.shape[1:])
        assert np.isfinite(samples).all()


@pytest.mark.parametrize(
    ("model", "objective"),
    marked(lambda m, o: o == MODELS[m].objectives[0] and m not in MIXED_ELSEWHERE),
)
def test_mixed_precision_trains_and_scores_in_single_precision(model, objective):
    x = data_for(model, n=32)
    made = compiled(make(model, objective, dtype="mixed_float16"), x)
    history = made.fit(stream(x), verbose=0).history
    assert np.isfinite(history["loss"]).all()
    for values in scores(made, x).values():
        assert values.dtype == np.float32
        assert np.isfinite(values).all()


@pytest.mark.slow
def test_all_load_in_a_process_that_knows_only_the_library(tmp_path):
    expected = {}
    for model, objective in [pair for pair in PAIRS if usual(*pair)]:
        made, x = make(model, objective), data_for(model, n=4)
        made.adapt(x)
        name = f"{model}-{objective}"
        made.save(tmp_path / f"{name}.keras")
        np.save(tmp_path / f"{name}.npy", x)
        expected[name] = made.reconstruction_error(x).numpy().tolist()
    code = (
        "import json, pathlib, sys, keras, numpy, delvm_tf\n"
        "found = {}\n"
        "for path in pathlib.Path(sys.argv[1]).glob('*.keras'):\n"
        "    model = keras.saving.load_model(path)\n"
        "    x = numpy.load(path.with_suffix('.npy'))\n"
        "    found[path.stem] = model.reconstruction_error(x).numpy().tolist()\n"
        "print(json.dumps(found))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("model", MODELS)
def test_bad_input_is_refused_before_any_work(model):
    x = data_for(model, n=8)
    made = make(model, MODELS[model].objectives[0])
    made.compile("adam")
    with pytest.raises(ValueError, match="not adapted"):
        made.fit(x, verbose=0)
    made.adapt(x)
    broken = x.copy()
    broken[3].flat[0] = np.nan
    for call in (made.fit, made.reconstruction_error, made.adapt, made.evaluate):
        with pytest.raises(ValueError, match=r"NaN or infinite values in 1 of 8 examples"):
            call(broken)
        with pytest.raises(ValueError, match=r"expects x of shape"):
            call(x[:, :-1])
        with pytest.raises(TypeError, match="must hold real numbers"):
            call(np.full(x.shape, "a"))
    with pytest.raises(ValueError, match="empty data set"):
        made.fit(x[:0], verbose=0)
    one = made.reconstruction_error(x[:1])
    np.testing.assert_allclose(one, made.reconstruction_error(x)[:1], rtol=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_other_objectives_are_refused_with_a_reason(model):
    for objective in OBJECTIVES.keys() - set(MODELS[model].objectives):
        with pytest.raises(TypeError, match=r"\w+ \w+ \w+"):
            make(model, objective)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_model("vae"), "unknown model 'vae'; expected one of delvm, dem"),
        (lambda: make_objective("elbo"), "unknown objective 'elbo'; expected one of score"),
        (lambda: make_objective("cd", sigma=1.0), "'cd' has no setting sigma; it has"),
        (lambda: make_model("dem", units=[4], latents=3), "'dem' has no setting latents"),
        (lambda: make_model("dbn", filters=[4]), "is made of units, not of filters"),
        (lambda: make_model("gaussian-rbm", units=[4, 3]), "has one layer, got units"),
        (lambda: make_model("dem"), "needs units of dense layers or filters"),
        (lambda: make_model("dem", filters=[3], input_shape=(6,)), "filters are for images"),
    ],
)
def test_wrong_names_and_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
