"""ONNX files compute what the models compute, in a runtime that knows nothing of TensorFlow."""

import json

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
import tf2onnx
from keras import layers
from parity_test import CASES, assert_close, trained

import delvm_tf as dv
from delvm_tf.serving.onnx_operations import FORMULAS, handlers
from delvm_tf.serving.subject import Subject


def run(path, x):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"x": x}), strict=True))


def check(model_or_detector, x, folder, signatures=None):
    for name, function in Subject.of(model_or_detector).functions().items():
        if signatures is not None and name not in signatures:
            continue
        path = dv.export_onnx(model_or_detector, folder / f"{name}.onnx", name)
        onnx.checker.check_model(str(path), full_check=True)
        for rows in (1, 7, len(x)):
            found = run(path, x[:rows])
            expected = {k: np.asarray(v) for k, v in function(x[:rows]).items()}
            assert set(found) == set(expected)
            for output, value in expected.items():
                assert found[output].dtype == value.dtype
                assert_close(found[output], value, f"{name}/{output}, {rows} rows")


FAST = ["dem, convolutions"]


@pytest.mark.parametrize("case", FAST)
def test_some_models_compute_the_same_as_onnx(tmp_path, case):
    model, x = trained(case)
    check(dv.AnomalyDetector(model, "mean_std").fit(x), x, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case not in FAST])
def test_every_model_computes_the_same_as_onnx(tmp_path, case):
    model, x = trained(case)
    check(dv.AnomalyDetector(model, "mean_std").fit(x), x, tmp_path)


@pytest.mark.parametrize("dtype", ["float64", "mixed_float16"])
def test_models_of_other_dtypes_decide_the_same(tmp_path, rng, dtype):
    x = rng.normal(size=(40, 4)).astype("float32")
    model = dv.DELVM(dv.networks.ffnn((3,), seed=0, dtype=dtype), dtype=dtype)
    model.adapt(x)
    detector = dv.AnomalyDetector(model, "mean_std").fit(x)
    found = run(dv.export_onnx(detector, tmp_path / "model.onnx"), x)
    np.testing.assert_array_equal(found["is_anomaly"], detector.is_anomaly(x))
    x[3, 1] = np.nan
    found = run(tmp_path / "model.onnx", x)
    assert np.flatnonzero(np.isnan(found["reconstruction_error"])).tolist() == [3]
    assert found["is_anomaly"][3]


def test_a_file_that_runtimes_would_refuse_is_not_written(tmp_path, rng):
    x = rng.normal(size=(40, 4)).astype("float32")
    dtype = "mixed_bfloat16"
    model = dv.DELVM(dv.networks.ffnn((3,), seed=0, dtype=dtype), dtype=dtype)
    model.adapt(x)
    with pytest.raises(ValueError, match="of dtype mixed_bfloat16, cannot be written as ONNX"):
        dv.export_onnx(model, tmp_path / "model.onnx")
    assert not any(tmp_path.iterdir())


NETWORKS = {
    "strides, no padding": [layers.Conv2D(4, 3, strides=2), layers.Conv2D(3, 2, activation="gelu")],
    "strides, padding": [layers.Conv2D(4, 3, strides=2, padding="same", activation="silu")],
    "strides, even kernel": [layers.Conv2D(4, 4, strides=3, padding="same", activation="tanh")],
    "dilation": [layers.Conv2D(4, 3, dilation_rate=2, padding="same", activation="softsign")],
    "pools": [layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(2)],
    "overlapping pools": [layers.MaxPooling2D(3, strides=1), layers.MaxPooling2D(3, 2, "same")],
    "average pools": [layers.AveragePooling2D(2), layers.Conv2D(4, 2)],
    "overlapping averages": [
        layers.AveragePooling2D(3, 2, "same"), layers.AveragePooling2D((2, 1), (1, 3), "same"),
    ],
    "mean over the image": [layers.Conv2D(4, 3, activation="swish"), layers.GlobalAvgPool2D()],
    "normalisation": [layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Activation("elu")],
    "dense": [layers.Flatten(), layers.Dense(9, "selu"), layers.LeakyReLU(0.3), layers.Dense(4)],
    "layer norm": [layers.Flatten(), layers.Dense(9, "relu6"), layers.LayerNormalization()],
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_have_the_same_derivatives_as_onnx(tmp_path, rng, name):
    x = (2 + 3 * rng.normal(size=(20, 9, 8, 2))).astype(np.float32)
    keras.utils.set_random_seed(1)
    network = keras.Sequential([keras.Input(x.shape[1:]), *NETWORKS[name]])
    model = dv.DELVM(network, normalization="zscore")
    model.adapt(x)
    check(model, x, tmp_path, ["reconstruct"])


def test_a_layer_without_counterpart_is_named(tmp_path):
    network = keras.Sequential([keras.Input((6, 6, 2)), layers.DepthwiseConv2D(2)])
    x = np.ones((8, 6, 6, 2), np.float32)
    model = dv.DELVM(network, normalization="none")
    model.adapt(x)
    with pytest.raises(ValueError, match=r"cannot be written as ONNX, .* DepthwiseConv2dNativeB"):
        dv.export_onnx(model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
    check(model, x, tmp_path, ["features"])


X = np.float32([-30, -2, -1e-3, -1e-20, 0, 1e-30, 1e-8, 3e-4, 0.5, 1, 6.5, 80])
ELEMENTWISE = {
    "SigmoidGrad": tf.sigmoid, "TanhGrad": tf.tanh,
    "SoftsignGrad": tf.nn.softsign, "ReluGrad": tf.nn.relu, "Relu6Grad": tf.nn.relu6,
    "LeakyReluGrad": lambda x: tf.nn.leaky_relu(x, 0.3), "EluGrad": tf.nn.elu,
    "SeluGrad": tf.nn.selu, "SqrtGrad": lambda x: tf.sqrt(tf.abs(x) + 1e-3),
    "RsqrtGrad": lambda x: tf.math.rsqrt(tf.abs(x) + 1e-3),
    "ReciprocalGrad": lambda x: tf.math.reciprocal(tf.abs(x) + 1e-3),
}  # fmt: skip
FUNCTIONS = {"Log1p": lambda x: tf.math.log1p(tf.maximum(x, -0.9)), "Expm1": tf.math.expm1,
             "Erfc": tf.math.erfc}  # fmt: skip


def converted(function, operation):
    """A function of x, (rows,), in the other runtime, and in this one."""
    spec = [tf.TensorSpec((None,), tf.float32, name="x")]
    graph = tf.function(function, input_signature=spec, autograph=False)
    operations = {op.type for op in graph.get_concrete_function().graph.get_operations()}
    assert operation in operations
    proto, _ = tf2onnx.convert.from_function(graph, spec, 18, custom_op_handlers=handlers())
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    return session.run(None, {"x": X})[0], graph(tf.constant(X)).numpy()


@pytest.mark.parametrize("operation", [*ELEMENTWISE, *FUNCTIONS])
def test_each_formula_is_right(operation):
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = ELEMENTWISE[operation](x)
        return tape.gradient(y, x)

    found, expected = converted(FUNCTIONS.get(operation, gradient), operation)
    small = operation in ("Log1p", "Expm1")  # right for the smallest x too
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-37 if small else 2e-7)


def test_all_formulas_are_tested():
    others = {"ShapeN", "BroadcastGradientArgs", "ConcatOffset", "DynamicStitch", "MaxPoolGrad",
              "AvgPoolGrad", "ExtractImagePatches", "StridedSliceGrad", "UpperBound"}  # fmt: skip
    assert {*ELEMENTWISE, *FUNCTIONS, *others} == {*FORMULAS}


def test_places_in_ascending_rows(rng):
    rows = np.sort(rng.integers(0, 9, size=(3, 20)), axis=1).astype(np.float64)
    rows[1, 12:] = np.inf

    def places(x):
        return tf.searchsorted(tf.constant(rows), tf.transpose(x), side="right")

    spec = [tf.TensorSpec((None, 3), tf.float64, name="x")]
    graph = tf.function(places, input_signature=spec, autograph=False)
    proto, _ = tf2onnx.convert.from_function(graph, spec, 18, custom_op_handlers=handlers())
    x = np.concatenate([rows[:, :15].T, rng.uniform(-1, 10, size=(20, 3))])
    found = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})[0]
    expected = [
        np.searchsorted(row, column, side="right") for row, column in zip(rows, x.T, strict=True)
    ]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("padding", ["VALID", "SAME"])
@pytest.mark.parametrize("channels", [1, 3])
def test_patches_of_images_of_any_number_of_channels(rng, channels, padding):
    spec = [tf.TensorSpec((None, 7, 6, channels), tf.float32, name="x")]
    graph = tf.function(
        lambda x: tf.image.extract_patches(x, [1, 3, 2, 1], [1, 2, 1, 1], [1, 1, 2, 1], padding),
        input_signature=spec,
    )
    proto, _ = tf2onnx.convert.from_function(graph, spec, 18, custom_op_handlers=handlers())
    x = rng.normal(size=(5, 7, 6, channels)).astype(np.float32)
    found = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})[0]
    np.testing.assert_array_equal(found, graph(x))


@pytest.mark.parametrize("shapes", [((3, 1), (1, 4)), ((3, 4), (4,)), ((), (3, 1)), ((1,), (2, 1))])
def test_gradients_of_broadcast_operands(shapes):
    def gradients(x):
        a, b = (x[0] + tf.ones(shape) for shape in shapes)
        with tf.GradientTape() as tape:
            tape.watch([a, b])
            y = tf.reduce_sum(tf.square(a * b) * a)
        return tf.concat([tf.reshape(g, (-1,)) for g in tape.gradient(y, [a, b])], axis=0)

    spec = [tf.TensorSpec((None,), tf.float32, name="x")]
    graph = tf.function(gradients, input_signature=spec, autograph=False)
    proto, _ = tf2onnx.convert.from_function(graph, spec, 18, custom_op_handlers=handlers())
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    expected = graph(tf.constant(X)).numpy()
    np.testing.assert_allclose(session.run(None, {"x": X})[0], expected, rtol=1e-6)


SLICES = {
    "one column": lambda x: x[:, 1], "the last column": lambda x: x[:, -1],
    "a new axis": lambda x: x[:, tf.newaxis] * x[:, :, tf.newaxis],
    "behind an ellipsis": lambda x: x[..., 2:4],
    "around an ellipsis": lambda x: tf.reshape(x, (-1, 2, 3))[1, ..., tf.newaxis, -2],
    "every second row, from the end": lambda x: x[::-2], "all but the first": lambda x: x[1:, :-1],
    "as many as asked for": lambda x: x[: tf.shape(x)[0] - 2, tf.shape(x)[1] - 3 :],
    "one of a table of a table": lambda x: tf.reshape(x, (-1, 2, 3))[:, 1, ::2],
}  # fmt: skip
JOINS = {
    "columns": lambda x: tf.concat([x, x[:, :2], tf.square(x)], axis=1),
    "the last axis": lambda x: tf.concat([tf.square(x), x], axis=-1),
    "rows": lambda x: tf.concat([tf.sin(x), tf.cos(x)], axis=0),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [*SLICES, *JOINS])
def test_gradients_of_parts_and_of_what_is_joined(rng, name, dtype):
    function = (SLICES | JOINS)[name]

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
            weights = tf.reshape(tf.cast(tf.range(tf.size(y)), y.dtype), tf.shape(y))
            y = tf.reduce_sum(weights * tf.square(y))
        return tape.gradient(y, x)

    spec = [tf.TensorSpec((None, 6), dtype, name="x")]
    graph = tf.function(gradient, input_signature=spec, autograph=False)
    operations = {op.type for op in graph.get_concrete_function().graph.get_operations()}
    assert ("StridedSliceGrad" if name in SLICES else "ConcatOffset") in operations
    proto, _ = tf2onnx.convert.from_function(graph, spec, 18, custom_op_handlers=handlers())
    x = rng.normal(size=(7, 6)).astype(dtype)
    found = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})[0]
    np.testing.assert_allclose(found, graph(x), rtol=1e-6, atol=1e-6)


@pytest.fixture
def detector(rng):
    x = rng.normal(size=(30, 4)).astype(np.float32)
    model = dv.DELVM(dv.networks.ffnn((3,), activation="relu"), normalization="zscore")
    model.adapt(x)
    return dv.AnomalyDetector(model, "mean_std").fit(x)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_that_cannot_be_scored_are_no_normal_ones(detector, tmp_path, rng, bad):
    x = rng.normal(size=(5, 4)).astype(np.float32)
    good = run(dv.export_onnx(detector, tmp_path / "a.onnx"), x)
    x[2, 1] = bad
    found = run(tmp_path / "a.onnx", x)
    assert found["is_anomaly"][2]
    for name, value in found.items():
        others = np.delete(value, 2, axis=0)
        np.testing.assert_array_equal(others, np.delete(good[name], 2, axis=0))
        if value.dtype != bool:
            assert np.isnan(value[2]).all(), name


def test_a_score_that_overflows_is_not_normal_either(tmp_path, rng):
    x = rng.normal(size=(50, 4)).astype(np.float32)
    model = dv.DELVM(dv.networks.ffnn((3,), activation="relu", seed=0), normalization="none")
    model.adapt(x)
    detector = dv.AnomalyDetector(model, "mean_std", "energy").fit(x)
    found = run(dv.export_onnx(detector, tmp_path / "a.onnx"), np.float32(1e25) * np.sign(x))
    assert np.isposinf(found["anomaly_score"]).all()
    assert found["is_anomaly"].all()


def test_the_file_says_what_it_is(detector, tmp_path):
    path = dv.export_onnx(detector, tmp_path / "deeper" / "model.onnx")
    assert path == tmp_path / "deeper" / "model.onnx"
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]
    proto = onnx.load(path)
    (x,) = proto.graph.input
    assert x.name == "x"
    assert x.type.tensor_type.shape.dim[0].dim_param
    properties = {p.key: json.loads(p.value) for p in proto.metadata_props}
    assert properties["signature"] == "serving_default"
    assert properties["model"]["class"] == "DELVM"
    assert properties["threshold"]["value"] == np.float32(detector.threshold_)
    assert properties["versions"]["delvm_tf"] == dv.__version__


def test_wrong_calls_are_told_before_anything_is_written(detector, tmp_path):
    with pytest.raises(ValueError, match=r"unknown signature 'encoded_images'; as ONNX there are"):
        dv.export_onnx(detector, tmp_path / "a.onnx", "encoded_images")
    with pytest.raises(TypeError, match="expected an energy model"):
        dv.export_onnx(dv.networks.ffnn((3,)), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("keep me")
    with pytest.raises(OSError, match=r"cannot write .*file.*choose another folder"):
        dv.export_onnx(detector, tmp_path / "file" / "a.onnx")
    assert (tmp_path / "file").read_text() == "keep me"


def test_without_tf2onnx_the_error_says_what_to_install(detector, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tf2onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'delvm_tf\[onnx\]'"):
        dv.export_onnx(detector, tmp_path / "a.onnx")


def test_only_a_file_of_this_function_is_replaced(detector, tmp_path):
    path = tmp_path / "a.onnx"
    theirs = onnx.helper.make_model(onnx.helper.make_graph([], "theirs", [], []))
    for content in (b"mine", theirs.SerializeToString()):
        path.write_bytes(content)
        with pytest.raises(FileExistsError, match=r"a\.onnx exists, and this program did not"):
            dv.export_onnx(detector, path)
        assert path.read_bytes() == content
    path.unlink()
    first = dv.export_onnx(detector, path, "reconstruct").read_bytes()
    assert dv.export_onnx(detector, path, "reconstruction_error").read_bytes() != first
    assert [p.name for p in tmp_path.iterdir()] == ["a.onnx"]
