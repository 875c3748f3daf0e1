"""Every model is served the same by every way of loading a SavedModel, in a bare process.

Ways: `tf.saved_model.load`; the graph loader that TensorFlow Serving is built on, in a session, by
tag and signature; `saved_model_cli`; and a real server where there is one.
"""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import delvm_tf as dv
from delvm_tf.catalog.models import MODELS, make_model
from delvm_tf.serving.subject import Subject

VECTOR, IMAGE = (10,), (6, 6, 2)
DENSE = {"units": (7, 4), "activation": "softplus"}
CONVOLUTIONS = {"filters": (4, 3), "kernel_size": 3, "activation": "softplus"}
CASES = {
    **{f"{name}, dense": (name, VECTOR, DENSE) for name in MODELS
       if MODELS[name].layers == "network" and name != "conv-autoencoder"},
    **{f"{name}, convolutions": (name, IMAGE, CONVOLUTIONS) for name in MODELS
       if MODELS[name].layers == "network" and name != "autoencoder"},
    "gaussian-rbm": ("gaussian-rbm", VECTOR, {"units": 7}),
    "conv-rbm": ("conv-rbm", IMAGE, {"filters": 3, "kernel_size": 3}),
    "dbn": ("dbn", VECTOR, {"units": (7, 4)}),
    "dbm": ("dbm", VECTOR, {"units": (7, 4)}),
}  # fmt: skip
FAST = ["dem, convolutions"]

CLIENT = """
import json, sys
sys.modules["delvm_tf"] = sys.modules["keras"] = None
import numpy as np
import tensorflow as tf

OTHERS = "encoded_images", "decide", "__saved_model_init_op"
for folder, inputs, outputs in json.loads(sys.argv[1]):
    x = np.load(inputs)
    results = {}
    for name, function in tf.saved_model.load(folder).signatures.items():
        if name in OTHERS:
            continue
        for output, value in function(x=tf.constant(x)).items():
            results[f"eager/{name}/{output}"] = value.numpy()
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], folder)
        for name, signature in loaded.signature_def.items():
            if name in OTHERS:
                continue
            fetched = {key: tensor.name for key, tensor in signature.outputs.items()}
            values = session.run(fetched, {signature.inputs["x"].name: x})
            results |= {f"session/{name}/{key}": value for key, value in values.items()}
    np.savez(outputs, **results)
"""


def trained(case):
    """A model whose weights are away from where they start, and rows for it."""
    name, shape, layers = CASES[case]
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(1)
    x = (3 + 2 * rng.normal(size=(40, *shape))).astype(np.float32)
    model = make_model(name, seed=0, normalization="zscore", **layers)
    model.adapt(x)
    for weight in model.trainable_variables:
        weight.assign(weight + 0.2 * rng.normal(size=weight.shape).astype(np.float32))
    return model, x


def assert_close(actual, expected, what):
    if expected.dtype == bool:
        np.testing.assert_array_equal(actual, expected, what)
        return
    scale = np.abs(expected).max() or 1.0
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * scale, err_msg=what)


def check(cases, folder):
    expected, jobs = {}, []
    for k, case in enumerate(cases):
        model, x = trained(case)
        detector = dv.AnomalyDetector(model, "mean_std").fit(x)
        version = dv.export_saved_model(detector, folder / str(k), warmup=())
        np.save(folder / f"{k}.npy", x)
        expected[case] = {
            f"{name}/{output}": np.asarray(value)
            for name, function in Subject.of(detector).functions().items()
            for output, value in function(x).items()
        }
        jobs.append([str(version), str(folder / f"{k}.npy"), str(folder / f"{k}.npz")])
    command = [sys.executable, "-c", CLIENT, json.dumps(jobs)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    for k, case in enumerate(cases):
        with np.load(folder / f"{k}.npz") as found:
            names = {f"{way}/{name}" for way in ("eager", "session") for name in expected[case]}
            assert set(found.files) == names
            for name in found.files:
                assert_close(found[name], expected[case][name.split("/", 1)[1]], f"{case} {name}")
    return jobs, expected


def test_some_models_are_served_as_they_compute(tmp_path):
    jobs, expected = check(FAST, tmp_path)
    ((version, inputs, _), *_) = jobs
    _check_command_line(version, inputs, tmp_path / "cli", expected[FAST[0]])


@pytest.mark.slow
def test_every_model_and_network_is_served_as_it_computes(tmp_path):
    check(list(CASES), tmp_path)


def _check_command_line(version, inputs, folder, expected):
    """`saved_model_cli`, which knows nothing but the files."""
    program = Path(sys.executable).with_name("saved_model_cli")
    common = ["--dir", version, "--tag_set", "serve", "--signature_def", "serving_default"]
    command = [str(program), "run", *common, "--inputs", f"x={inputs}", "--outdir", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    for name in ("anomaly_score", "is_anomaly", "features", "threshold"):
        found = np.load(folder / f"{name}.npy")
        assert_close(found, expected[f"serving_default/{name}"], name)


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.parametrize("kind", ["rest", "grpc"])
def test_a_real_server_answers_what_the_model_computes(tmp_path, kind):
    program = shutil.which("tensorflow_model_server")
    if program is None:
        pytest.skip("there is no tensorflow_model_server on the PATH")
    model, x = trained("delvm, dense")
    detector = dv.AnomalyDetector(model, "mean_std").fit(x)
    dv.export_saved_model(detector, tmp_path / "model")
    ports = {"rest": _free_port(), "grpc": _free_port()}
    command = [
        program, f"--port={ports['grpc']}", f"--rest_api_port={ports['rest']}",
        "--model_name=model", f"--model_base_path={tmp_path / 'model'}",
    ]  # fmt: skip
    address = {"rest": "http://127.0.0.1", "grpc": "127.0.0.1"}[kind] + f":{ports[kind]}"
    with subprocess.Popen(command) as server:
        try:
            with dv.serving.Client(address, "model") as client:
                client.wait_until_ready(60)
                for name, function in Subject.of(detector).functions().items():
                    found = client.predict(x, name)
                    for output, value in function(x).items():
                        assert_close(found[output], np.asarray(value), f"{name}/{output}")
        finally:
            server.terminate()


@pytest.mark.slow
def test_ten_thousand_requests_need_no_more_memory(tmp_path):
    """Of random batch sizes: no graph is traced again, and nothing of a gradient stays."""
    model, _ = trained("delvm, dense")
    version = dv.export_saved_model(model, tmp_path, warmup=())
    code = f"""
import resource, numpy as np, tensorflow as tf
served = tf.saved_model.load({str(version)!r}).signatures["serving_default"]
rng = np.random.default_rng(0)
x = rng.normal(size=(256, 10)).astype("float32")
sizes = []
for request in range(10_000):
    served(x=tf.constant(x[: rng.integers(1, 257)]))
    if request % 1000 == 999:
        sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(*sizes)
"""
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    sizes = [float(v) for v in result.stdout.split()]
    assert len(sizes) == 10
    # The peak may still rise while the allocator finds its sizes, but not go on rising: a tensor
    # of 100 kB kept by each request would add 800 MB.
    assert sizes[-1] - sizes[1] < 8, sizes
