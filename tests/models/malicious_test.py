"""Loading a model file never runs what is in it."""

import json
import zipfile

import keras
import numpy as np
import pytest

import delvm_tf as dv


@pytest.fixture
def saved(tmp_path):
    model = dv.DELVM(dv.networks.ffnn((3,), "tanh"), normalization="center")
    model.adapt(np.random.default_rng(0).normal(size=(20, 4)))
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def altered(path, change):
    """The same file with another configuration."""
    with zipfile.ZipFile(path) as old:
        files = {name: old.read(name) for name in old.namelist()}
    files["config.json"] = json.dumps(change(json.loads(files["config.json"]))).encode()
    target = path.with_name("malicious.keras")
    with zipfile.ZipFile(target, "w") as new:
        for name, content in files.items():
            new.writestr(name, content)
    return target


def with_first_layer(layer):
    def change(config):
        layers = config["config"]["network"]["config"]["layers"]
        layers[1 if layers[0]["class_name"] == "InputLayer" else 0] = layer
        return config

    return change


def test_the_file_loads_as_long_as_it_is_not_altered(saved):
    path = altered(saved, lambda config: config)
    assert isinstance(keras.saving.load_model(path), dv.DELVM)


def test_a_lambda_layer_is_refused(saved, tmp_path):
    harm = tmp_path / "harm"
    function = eval(f"lambda x: open({str(harm)!r}, 'w').close() or x")
    layer = keras.saving.serialize_keras_object(keras.layers.Lambda(function))
    path = altered(saved, with_first_layer(layer))
    with pytest.raises((ValueError, TypeError), match=r"(?i)lambda|unsafe|deserializ"):
        keras.saving.load_model(path)
    assert not harm.exists()


@pytest.mark.parametrize(
    "activation",
    [
        {"module": "os", "class_name": "function", "config": "system"},
        {"module": "builtins", "class_name": "function", "config": "eval"},
        {"module": "subprocess", "class_name": "Popen", "config": {"args": ["touch", "HARM"]}},
    ],
)  # fmt: skip
def test_functions_of_other_modules_are_refused(saved, tmp_path, activation):
    harm = tmp_path / "harm"
    activation = {"registered_name": activation["config"] if isinstance(activation["config"], str)
                  else None, **activation}  # fmt: skip
    activation = json.loads(json.dumps(activation).replace("HARM", str(harm)))

    def change(config):
        layers = config["config"]["network"]["config"]["layers"]
        layers[-1]["config"]["activation"] = activation
        return config

    with pytest.raises((ValueError, TypeError, ModuleNotFoundError)):
        keras.saving.load_model(altered(saved, change))
    assert not harm.exists()


def test_arrays_with_python_objects_are_refused(tmp_path):
    """They could run code when unpickled, so data files with them are not read."""

    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    x = np.empty(2, object)
    x[:] = [Harm(), Harm()]
    np.savez(tmp_path / "data.npz", x=x)
    assert not (tmp_path / "harm").exists()
    with pytest.raises(ValueError, match="Python objects"):
        next(iter(dv.datasets.streams.stream(str(tmp_path / "*.npz"))))
    assert not (tmp_path / "harm").exists()
