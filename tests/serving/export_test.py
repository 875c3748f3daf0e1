import json
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.ensemble import IsolationForest

import delvm_tf as dv
from delvm_tf.serving import export_saved_model

BATCHES = (1, 7, 256)
SIGNATURES = {
    "features": {"features"},
    "reconstruction_error": {"reconstruction_error"},
    "energy": {"energy"},
    "reconstruct": {"reconstruction"},
    "score": {"score"},
}

# Runs every signature of every model where neither this library nor Keras can be imported.
CLIENT = """
import json, sys
sys.modules["delvm_tf"] = sys.modules["keras"] = None
import numpy as np
import tensorflow as tf

for name in ("delvm_tf", "keras"):
    try:
        __import__(name)
    except ImportError:
        continue
    raise SystemExit(f"{name} could be imported")

for folder, inputs, outputs in json.loads(sys.argv[1]):
    served = tf.saved_model.load(folder)
    results = {}
    for batch, x in np.load(inputs).items():
        for signature, function in served.signatures.items():
            more = {"threshold": tf.zeros(len(x))} if signature == "decide" else {}
            for name, value in function(x=tf.constant(x), **more).items():
                results[f"{signature}/{name}/{batch}"] = value.numpy()
    np.savez(outputs, **results)
"""


def randomize(model, seed):
    """Weights away from where they start, so that no bias or precision is trivial."""
    rng = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        noise = rng.normal(size=weight.shape).astype(np.float32)
        weight.assign(weight + 0.2 * noise)


def dense(normalization="zscore", **kwargs):
    network = dv.networks.ffnn((12, 6), activation="softplus", seed=0)
    return dv.DELVM(network, normalization=normalization, scale=2.0, **kwargs), (10,)


def convolutional(normalization="zscore", **kwargs):
    network = dv.networks.cnn((4, 3), 3, seed=0)
    return dv.DELVM(network, normalization=normalization, scale=1.5, **kwargs), (6, 6, 2)


def with_frozen_layers():
    network = keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.Dense(8, activation="tanh", trainable=False),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(5),
        ]
    )
    return dv.DELVM(network, normalization="center"), (10,)


MODELS = {
    "dense": dense,
    "dense, zca": lambda: dense("zca"),
    "dense, no normalisation": lambda: dense("none"),
    "dense, full precision": lambda: dense(visible_precision="full"),
    "convolutional": convolutional,
    "convolutional, zca": lambda: convolutional("zca"),
    "convolutional, diagonal precision": lambda: convolutional(visible_precision="diagonal"),
    "convolutional, scalar precision": lambda: convolutional("center", visible_precision="scalar"),
    "frozen layers and batch normalisation": with_frozen_layers,
}
DETECTORS = {
    "detector": {},
    "detector by energy": {
        "criterion": "energy",
        "threshold": "contamination",
        "contamination": 0.3,
    },
}


def inputs_for(shape, seed=1):
    rng = np.random.default_rng(seed)
    d = int(np.prod(shape))
    mixing = rng.normal(size=(d, d)) / np.sqrt(d)
    x = {str(n): (rng.normal(size=(n, d)) @ mixing + 3.0).reshape(n, *shape) for n in BATCHES}
    return {n: value.astype(np.float32) for n, value in x.items()}


def autoencoder(tied):
    layers = [
        keras.layers.Conv2D(4, 3, strides=2, activation="tanh"),
        keras.layers.BatchNormalization(),
        keras.layers.MaxPooling2D(2, padding="same"),
        keras.layers.Flatten(),
        keras.layers.Dense(3),
    ]
    network = keras.Sequential(layers)
    return dv.ConvAutoencoder(network, tied=tied, normalization="zscore"), (7, 6, 2)


AUTOENCODERS = {"autoencoder": lambda: autoencoder(False), "tied": lambda: autoencoder(True)}
# Others are like these in all but one setting, which these have too, or which leaves work out.
SLOW = {
    "dense, zca", "dense, no normalisation", "convolutional, diagonal precision",
    "convolutional, scalar precision", "detector",
}  # fmt: skip


def marked(names):
    return [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in names]


@pytest.fixture(scope="module")
def served(request, tmp_path_factory):
    """By name that is tested: the model or detector, its inputs, what a bare TensorFlow said."""
    tests = [item for item in request.session.items if item.path == request.path]
    wanted = {item.callspec.params.get("name") for item in tests if hasattr(item, "callspec")}
    keras.utils.set_random_seed(0)
    root = tmp_path_factory.mktemp("served")
    objects, jobs = {}, []
    for index, name in enumerate([*MODELS, *DETECTORS, *AUTOENCODERS]):
        if name not in wanted | {"dense"}:
            continue
        model, shape = {**MODELS, **AUTOENCODERS}.get(name, dense)()
        x = inputs_for(shape)
        model.adapt(x["256"])
        randomize(model, index)
        exported = model
        if name in DETECTORS:
            exported = dv.AnomalyDetector(model, **DETECTORS[name]).fit(x["256"])
        elif name in AUTOENCODERS:
            exported = dv.AnomalyDetector(model, threshold="contamination", contamination=0.1).fit(
                x["256"]
            )
        folder = export_saved_model(exported, root / str(index), warmup=())
        np.savez(root / f"{index}-in.npz", **x)
        objects[name] = (exported, x, root / f"{index}-out.npz")
        jobs.append([str(folder), str(root / f"{index}-in.npz"), str(objects[name][2])])
    result = subprocess.run(
        [sys.executable, "-c", CLIENT, json.dumps(jobs)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return {name: (o, x, dict(np.load(out))) for name, (o, x, out) in objects.items()}


def assert_close(actual, expected, rtol=1e-5):
    expected = np.asarray(expected)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


@pytest.mark.parametrize("name", marked(MODELS))
def test_a_bare_tensorflow_serves_what_the_model_computes(served, name):
    model, x, outputs = served[name]
    for batch, values in x.items():
        expected = {
            "features/features": model.features(values),
            "reconstruction_error/reconstruction_error": model.reconstruction_error(values),
            "energy/energy": model.energy(values),
            "reconstruct/reconstruction": model.reconstruct(values),
            "score/score": model.score(values),
            "serving_default/features": model.features(values),
            "serving_default/reconstruction_error": model.reconstruction_error(values),
        }
        assert {k for k in outputs if k.endswith(f"/{batch}")} == {f"{k}/{batch}" for k in expected}
        for key, value in expected.items():
            assert_close(outputs[f"{key}/{batch}"], value)


def test_served_energies_errors_and_reconstructions_follow_the_formulas(served):
    model, x, outputs = served["dense"]
    rows = x["256"].astype(np.float64)
    mean, std = rows.mean(axis=0), rows.std(axis=0)
    z = 2.0 * (rows - mean) / std
    first, second = model.network.layers
    a = z @ first.kernel.numpy() + first.bias.numpy()
    b = np.logaddexp(0, a) @ second.kernel.numpy() + second.bias.numpy()
    f = np.logaddexp(0, b)
    back = (f / (1 + np.exp(-b))) @ second.kernel.numpy().T / (1 + np.exp(-a))
    rebuilt = back @ first.kernel.numpy().T
    energy = 0.5 * np.square(z).sum(axis=1) - 0.5 * np.square(f).sum(axis=1)

    assert_close(outputs["energy/energy/256"], energy)
    assert_close(outputs["score/score/256"], rebuilt - z)
    error = np.square(z - rebuilt).sum(axis=1)
    assert_close(outputs["reconstruction_error/reconstruction_error/256"], error)
    assert_close(outputs["reconstruct/reconstruction/256"], rebuilt / 2.0 * std + mean)


@pytest.mark.parametrize("name", marked(DETECTORS))
def test_a_bare_tensorflow_serves_what_the_detector_decides(served, name):
    detector, x, outputs = served[name]
    for batch, values in x.items():
        served_default = {
            output: outputs[f"serving_default/{output}/{batch}"]
            for output in ("anomaly_score", "is_anomaly", "threshold", "reconstruction_error")
        }
        assert_close(served_default["anomaly_score"], detector.anomaly_score(values))
        np.testing.assert_array_equal(served_default["is_anomaly"], detector.is_anomaly(values))
        assert served_default["is_anomaly"].dtype == bool
        expected = np.full(len(values), detector.threshold_)
        np.testing.assert_allclose(served_default["threshold"], expected, rtol=1e-6)
        error = detector.model.reconstruction_error(values)
        assert_close(served_default["reconstruction_error"], error)
    flagged = outputs["serving_default/is_anomaly/256"]
    assert flagged.any()
    assert not flagged.all()


@pytest.fixture
def model(rng):
    model = dv.DELVM(dv.networks.ffnn((3,)), normalization="center")
    model.adapt(rng.normal(size=(20, 4)))
    return model


def test_the_signatures_and_their_inputs_are_as_documented(model, tmp_path, rng):
    detector = dv.AnomalyDetector(model, "mean_std").fit(rng.normal(size=(20, 4)))
    served = tf.saved_model.load(str(export_saved_model(detector, tmp_path)))
    detection = {"anomaly_score", "is_anomaly", "threshold", "p_value"}
    default = {"features", "reconstruction_error", *detection}
    assert {
        name: set(function.structured_outputs) for name, function in served.signatures.items()
    } == {"serving_default": default, "decide": default, **SIGNATURES}
    for name, function in served.signatures.items():
        ((), arguments) = function.structured_input_signature
        assert {*arguments} == {"x"} | ({"threshold"} if name == "decide" else set())
        assert arguments["x"].dtype == tf.float32
        assert arguments["x"].shape.as_list() == [None, 4]


def test_nothing_of_training_is_saved(model, tmp_path, rng):
    model.compile("adam")
    model.fit(rng.normal(size=(20, 4)), epochs=1, verbose=0)
    folder = export_saved_model(model, tmp_path)
    saved = tf.train.list_variables(str(folder / "variables" / "variables"))
    sizes = sorted(int(np.prod(shape)) for name, shape in saved if "OBJECT_GRAPH" not in name)
    # Kernel, bias; shift, gain and the number of examples of the normalisation.
    assert sizes == [1, 3, 4, 4, 12]


def test_the_module_offers_it_too(model, tmp_path):
    assert dv.export_saved_model is export_saved_model
    assert dv.export_saved_model(model, str(tmp_path / "a" / "b")) == tmp_path / "a" / "b" / "1"


def test_versions_count_up_and_other_names_do_not_disturb(model, tmp_path):
    for name in ("3", "7", "notes", "v9", "-12"):
        (tmp_path / name).mkdir()
    assert export_saved_model(model, tmp_path) == tmp_path / "8"
    assert export_saved_model(model, tmp_path) == tmp_path / "9"
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"3", "7", "8", "9", "notes", "v9", "-12"}
    assert (tmp_path / "8" / "saved_model.pb").is_file()


def test_a_failed_export_leaves_nothing_behind(model, tmp_path, monkeypatch):
    def out_of_space(module, path, **kwargs):
        Path(path).mkdir()
        (Path(path) / "saved_model.pb").write_bytes(b"half")
        raise RuntimeError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(tf.saved_model, "save", out_of_space)
        with pytest.raises(RuntimeError, match="no space left"):
            export_saved_model(model, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert export_saved_model(model, tmp_path).name == "1"


def test_exports_at_the_same_time_get_different_versions(model, tmp_path, monkeypatch):
    together = threading.Barrier(6)

    def save(module, path, **kwargs):
        Path(path).mkdir()
        (Path(path) / "saved_model.pb").write_text(threading.current_thread().name)
        together.wait(timeout=30)

    monkeypatch.setattr(tf.saved_model, "save", save)
    threads = [
        threading.Thread(target=export_saved_model, args=(model, tmp_path), name=f"t{i}")
        for i in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "3", "4", "5", "6"]
    writers = {path.read_text() for path in tmp_path.glob("*/saved_model.pb")}
    assert writers == {f"t{i}" for i in range(6)}


@pytest.mark.parametrize("below", [(), ("deeper",)])
def test_a_file_in_the_way_is_reported(model, tmp_path, below):
    (tmp_path / "file").write_text("keep me")
    with pytest.raises(OSError, match=r"cannot write to .*file.*choose another folder"):
        export_saved_model(model, (tmp_path / "file").joinpath(*below))
    assert (tmp_path / "file").read_text() == "keep me"


def test_the_folder_of_a_detector_is_no_place_for_versions(model, tmp_path, rng):
    detector = dv.AnomalyDetector(model, "mean_std").fit(rng.normal(size=(20, 4)))
    folder = detector.save(tmp_path / "detector")
    with pytest.raises(FileExistsError, match="a detector is saved there; choose another folder"):
        export_saved_model(model, folder)
    detector.save(folder)  # nothing is in the way


def test_only_models_of_this_library_and_detectors_can_be_exported(tmp_path):
    with pytest.raises(TypeError, match=r"expected an energy model.* got FeedForward"):
        export_saved_model(dv.networks.ffnn((3,)), tmp_path)
    with pytest.raises(TypeError, match=r"got IsolationForest; wrap an outlier detector"):
        export_saved_model(IsolationForest(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_weights_or_statistics_is_refused(tmp_path):
    unbuilt = dv.DELVM(dv.networks.ffnn((3,)), normalization="none")
    unadapted = dv.DELVM(dv.networks.ffnn((3,)), normalization="zscore")
    unadapted.build((None, 4))
    for model in (unbuilt, unadapted):
        with pytest.raises(ValueError, match=r"the model is not ready: call model.adapt"):
            export_saved_model(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_detector_without_threshold_is_refused(model, tmp_path):
    with pytest.raises(ValueError, match=r"the detector has no threshold yet: call detector.fit"):
        export_saved_model(dv.AnomalyDetector(model), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_an_autoencoder_is_served_without_energy_and_score(served, name):
    detector, x, outputs = served[name]
    model = detector.model
    names = {key.split("/")[0] for key in outputs}
    features = {"serving_default", "decide", "features", "reconstruction_error", "reconstruct"}
    assert names == features
    for batch, values in x.items():
        assert_close(outputs[f"reconstruct/reconstruction/{batch}"], model.reconstruct(values))
        assert_close(outputs[f"features/features/{batch}"], model.features(values))
        error = model.reconstruction_error(values)
        for key in ("reconstruction_error/reconstruction_error", "serving_default/anomaly_score"):
            assert_close(outputs[f"{key}/{batch}"], error)
        flags = outputs[f"serving_default/is_anomaly/{batch}"]
        np.testing.assert_array_equal(flags, detector.is_anomaly(values))
