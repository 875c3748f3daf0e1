"""Loading what was exported: checked, without the library's code, and nothing runs from a file."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.serving import DamagedModelError, load
from delvm_tf.serving.model_card import FILE


@pytest.fixture(scope="module")
def detector():
    x = np.random.default_rng(0).integers(0, 256, size=(200, 6, 5, 1)).astype(np.float32)
    model = dv.DELVM(dv.networks.cnn((3,), 3, seed=0))
    model.adapt(x)
    return dv.AnomalyDetector(model, "mean_std").fit(x), x


@pytest.fixture(scope="module")
def exported(detector, tmp_path_factory):
    base = tmp_path_factory.mktemp("base")
    dv.export_saved_model(detector[0], base, about={"data": "noise", "auroc": 0.5})
    return base


@pytest.fixture(scope="module")
def served(exported):
    return load(exported)


@pytest.fixture
def copy(exported, tmp_path):
    shutil.copytree(exported / "1", tmp_path / "1")
    return tmp_path / "1"


def test_it_computes_what_the_detector_computes(detector, served):
    own, x = detector
    outputs = served.predict(x, batch_size=64)
    np.testing.assert_allclose(outputs["anomaly_score"], own.anomaly_score(x), rtol=1e-5)
    np.testing.assert_array_equal(outputs["is_anomaly"], own.is_anomaly(x))
    np.testing.assert_allclose(outputs["features"], own.model.features(x), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(served.predict(x.astype("uint8"), "energy")["energy"],
                                  served.predict(x, "energy")["energy"])  # fmt: skip


@pytest.mark.parametrize("encode", [tf.io.encode_png, tf.io.encode_jpeg])
def test_encoded_images_are_the_pixels_they_decode_to(detector, served, encode):
    own, x = detector
    encoded = [encode(image.astype(np.uint8)).numpy() for image in x[:5]]
    pixels = np.stack([tf.io.decode_image(e, 1).numpy() for e in encoded])
    outputs = served.predict(encoded, "encoded_images")
    np.testing.assert_allclose(outputs["anomaly_score"], own.anomaly_score(pixels), rtol=1e-5)


def test_white_is_one_for_models_of_pixels_up_to_one(detector, tmp_path):
    _, x = detector
    model = dv.DELVM(dv.networks.cnn((3,), 3, seed=0))
    model.adapt(x / 255)
    encoded = [tf.io.encode_png(x[0].astype(np.uint8)).numpy()]
    for white, expected in ((None, 1.0), (1.0, 1.0), (255.0, 255.0)):
        loaded = load(dv.export_saved_model(model, tmp_path, white=white, warmup=()))
        assert loaded.card.white == expected
        score = loaded.predict(encoded, "encoded_images")["reconstruction_error"]
        values = x[:1] * (expected / 255)
        np.testing.assert_allclose(score, model.reconstruction_error(values), rtol=1e-5)


def test_the_card_says_what_was_exported(detector, served):
    own, x = detector
    card = served.card
    assert card.about == {"data": "noise", "auroc": 0.5}
    assert card.shape == (6, 5, 1)
    assert card.threshold["value"] == np.float32(own.threshold_)
    assert card.threshold["rule"] == "mean_std"
    assert card.model["class"] == "DELVM"
    assert card.model["parameters"] == 3 * 9 + 3
    assert card.versions["tensorflow"] == tf.__version__
    assert set(card.signatures) == {
        "serving_default", "encoded_images", "features", "reconstruction_error", "reconstruct",
        "energy", "score", "decide",
    }  # fmt: skip
    assert card.scores.rows == len(x)
    scores = np.sort(own.anomaly_score(x))
    assert scores[19] <= card.scores.edges[0] <= scores[20]


def test_a_model_alone_has_the_histogram_of_the_rows_it_is_given(detector, tmp_path):
    own, x = detector
    assert load(dv.export_saved_model(own.model, tmp_path, warmup=())).card.scores is None
    card = load(dv.export_saved_model(own.model, tmp_path, reference=x, warmup=())).card
    assert card.scores.rows == len(x)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full((1, 6, 5, 1), np.nan), "NaN or infinite values in 1 of 1"),
        (np.zeros((0, 6, 5, 1)), "empty data set"),
        (np.zeros((6, 5, 1)), "single example"),
        (np.zeros((2, 6, 5)), "channel axis"),
        (np.full((1, 6, 5, 1), 1e300), "range of float32"),
        ([[1.0], [2.0, 3.0]], "rows differ in length"),
    ],
)
def test_bad_rows_are_refused_and_the_next_ones_served(served, x, message):
    with pytest.raises(ValueError, match=message):
        served.predict(x)
    assert len(served.predict(np.zeros((1, 6, 5, 1)))["anomaly_score"]) == 1


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full((1, 6, 5, 1), np.nan, np.float32), "x has NaN or infinite values"),
        (np.zeros((0, 6, 5, 1), np.float32), "the request has no rows"),
        (np.zeros((4097, 6, 5, 1), np.float32), "a request may have 4096 rows"),
    ],
)
def test_the_graph_itself_refuses_bad_rows(served, x, message):
    function = tf.saved_model.load(str(served.folder)).signatures["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        function(x=tf.constant(x))
    assert function(x=tf.zeros((1, 6, 5, 1)))["anomaly_score"].shape == (1,)


def test_images_that_do_not_fit_are_refused(served):
    large = tf.io.encode_png(np.zeros((7, 5, 1), np.uint8)).numpy()
    with pytest.raises(ValueError, match=r"refuses rows 0 to 0.*= \(6, 5, 1\), got\] \[7 5 1\]"):
        served.predict([large], "encoded_images")
    with pytest.raises(ValueError, match="refuses rows 0 to 0"):
        served.predict([b"no image"], "encoded_images")
    with pytest.raises(TypeError, match="image files as bytes"):
        served.predict("cat.png", "encoded_images")
    with pytest.raises(ValueError, match="unknown signature 'nonsense'"):
        served.predict(np.zeros((1, 6, 5, 1)), "nonsense")


def test_any_altered_or_missing_file_is_found(copy):
    files = [p for p in copy.rglob("*") if p.is_file()]
    assert len(files) == 6
    for path in files:
        whole = path.read_bytes()
        half = whole[: len(whole) // 2]
        for damaged in (whole[:-2], half, b"", bytes([whole[0] ^ 1]) + whole[1:]):
            path.write_bytes(damaged)
            with pytest.raises(DamagedModelError):
                load(copy)
        path.unlink()
        with pytest.raises((DamagedModelError, FileNotFoundError), match=path.name):
            load(copy)
        path.write_bytes(whole)
    (copy / "variables" / "more").write_text("x")
    with pytest.raises(DamagedModelError, match="does not name: variables/more"):
        load(copy)


def test_a_card_that_lies_is_found(copy):
    content = json.loads((copy / FILE).read_text())
    content["threshold"]["value"] = 1e9
    (copy / FILE).write_text(json.dumps(content))
    with pytest.raises(DamagedModelError, match="is altered"):
        load(copy)


def test_the_newest_version_or_the_one_asked_for(exported, tmp_path):
    for version in ("2", "10"):
        shutil.copytree(exported / "1", tmp_path / version)
    assert load(tmp_path).folder.name == "10"
    assert load(tmp_path, 2).folder.name == "2"
    assert load(tmp_path / "2").folder.name == "2"
    (tmp_path / "2").rename(tmp_path / "0002")  # for TensorFlow Serving that is version 2 too
    assert load(tmp_path, version=2).folder == tmp_path / "0002"
    with pytest.raises(FileNotFoundError, match="no version '2'; it has 2, 10"):
        load(tmp_path, version="2")
    with pytest.raises(FileNotFoundError, match="no version 3; it has 2, 10"):
        load(tmp_path, 3)
    with pytest.raises(FileNotFoundError, match="is no folder"):
        load(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=f"has no {FILE}"):
        load(tmp_path / "empty")


class Malicious(tf.Module):
    """Writes a file as soon as its graph runs."""

    def __init__(self, path, how):
        super().__init__()
        self.path, self.how = str(path), how

    @tf.function(input_signature=[tf.TensorSpec((None, 6, 5, 1), tf.float32, name="x")])
    def serve(self, x):
        if self.how == "write":
            tf.io.write_file(self.path, "harm")
        elif self.how == "checkpoint":
            tf.raw_ops.SaveV2(
                prefix=self.path, tensor_names=["x"], shape_and_slices=[""], tensors=[x]
            )
        elif self.how == "read":
            return {"anomaly_score": tf.strings.length(tf.io.read_file("/etc/hostname"))}
        else:
            tf.py_function(lambda: open(self.path, "w").close(), [], [])
        return {"anomaly_score": tf.reduce_sum(x)}


@pytest.mark.parametrize("how", ["write", "read", "python", "checkpoint"])
def test_a_graph_that_does_more_than_compute_is_not_loaded(copy, how, tmp_path):
    """Even with a card whose checksums fit."""
    from dataclasses import replace

    from delvm_tf.serving.model_card import ModelCard, checksums

    card = ModelCard.read(copy)
    harm = tmp_path / "harm"
    module = Malicious(harm, how)
    shutil.rmtree(copy)
    tf.saved_model.save(module, str(copy), signatures=module.serve)
    replace(card, checksums=checksums(copy)).write(copy)
    with pytest.raises(DamagedModelError, match=r"holds the operation (Write|Read|Eager|Save)"):
        load(copy)
    assert not harm.exists()


def test_a_function_cannot_hide_an_operation_by_taking_its_name(copy):
    from tensorflow.core.protobuf import saved_model_pb2

    from delvm_tf.serving.effects import refuse_effects

    path = copy / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    graph = saved.meta_graphs[0].graph_def
    refuse_effects(copy)
    graph.library.function.add().signature.name = "WriteFile"
    graph.library.function[0].node_def.add(name="harm", op="WriteFile")
    path.write_bytes(saved.SerializeToString())
    with pytest.raises(DamagedModelError, match="operation WriteFile"):
        refuse_effects(copy)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"about": {"a": object()}}, TypeError, "about must be what JSON can hold"),
        ({"about": {"a": float("nan")}}, TypeError, "about must be what JSON can hold"),
        ({"max_batch_size": 0}, ValueError, "max_batch_size must be positive"),
        ({"max_batch_size": 8}, ValueError, "batches of warmup no larger"),
        ({"white": -1.0}, ValueError, "white must be positive"),
        ({"reference": np.zeros((1, 6, 5, 1))}, ValueError, "two or more scores"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(
    detector, tmp_path, settings, error, message
):
    with pytest.raises(error, match=message):
        dv.export_saved_model(detector[0], tmp_path, **settings)
    assert list(tmp_path.iterdir()) == []


def test_what_xla_compiles_gives_the_same(detector, tmp_path):
    own, x = detector
    served = load(dv.export_saved_model(own, tmp_path, jit_compile=True, warmup=()))
    for name, key in (("serving_default", "anomaly_score"), ("score", "score")):
        expected = np.asarray(
            own.anomaly_score(x) if name == "serving_default" else own.model.score(x)
        )
        found = served.predict(x, name)[key]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    function = tf.saved_model.load(str(served.folder)).signatures["energy"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="NaN or infinite"):
        function(x=tf.constant(np.full((1, 6, 5, 1), np.nan, np.float32)))


def test_networks_of_blocks_can_be_exported(tmp_path):
    """A block is a layer that holds others; only its outside is known."""
    block = keras.Sequential([keras.layers.Dense(4, "tanh"), keras.layers.Dense(3)])
    x = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    inputs = keras.Input((5,))
    halves = [block(inputs), block(2 * inputs)]  # called twice
    model = dv.DELVM(keras.Model(inputs, keras.layers.Add()(halves)))
    model.adapt(x)
    served = load(dv.export_saved_model(model, tmp_path, warmup=()))
    np.testing.assert_allclose(served.predict(x, "energy")["energy"], model.energy(x), rtol=1e-5)
    assert {"class": "Add", "output": [None, 3]} in served.card.model["layers"]


def test_a_score_that_overflows_is_not_normal(tmp_path, rng):
    """Finite rows whose energy is infinity less infinity."""
    x = rng.normal(size=(50, 4)).astype(np.float32)
    model = dv.DELVM(dv.networks.ffnn((3,), activation="relu", seed=0), normalization="none")
    model.adapt(x)
    detector = dv.AnomalyDetector(model, "mean_std", "energy").fit(x)
    loaded = load(dv.export_saved_model(detector, tmp_path, warmup=()))
    rows = np.concatenate([np.zeros((1, 4)), 1e25 * np.sign(x[:20])])
    found = loaded.predict(rows)
    assert np.isnan(model.energy(rows)).any()
    assert np.isposinf(found["anomaly_score"][1:]).all()
    assert found["is_anomaly"][1:].all()
