"""Messages agree byte by byte with those of the package of TensorFlow Serving."""

import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.serving.messages import message, outputs_of, predict_request


@pytest.mark.parametrize(
    "inputs",
    [
        {"x": np.arange(6, dtype=np.float32).reshape(2, 3)},
        {"image_bytes": np.array([b"one", b"\x00two"], object)},
    ],
)
@pytest.mark.parametrize("version", [None, 3])
def test_requests_are_those_of_tensorflow_serving(inputs, version):
    from tensorflow_serving.apis import predict_pb2

    theirs = predict_pb2.PredictRequest()
    theirs.model_spec.name = "ecg"
    theirs.model_spec.signature_name = "score"
    if version is not None:
        theirs.model_spec.version.value = version
    for name, value in inputs.items():
        theirs.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    ours = predict_request(inputs, "ecg", "score", version)
    assert ours.SerializeToString() == theirs.SerializeToString()


def test_responses_are_read():
    from tensorflow_serving.apis import predict_pb2

    response = predict_pb2.PredictResponse()
    response.model_spec.version.value = 7
    response.outputs["is_anomaly"].CopyFrom(tf.make_tensor_proto([True, False]))
    response.outputs["energy"].CopyFrom(tf.make_tensor_proto(np.float32([1.5, 2.5])))
    read = message("PredictResponse").FromString(response.SerializeToString())
    assert read.model_spec.version.value == 7
    outputs = outputs_of(read)
    assert outputs["is_anomaly"].tolist() == [True, False]
    assert outputs["energy"].dtype == np.float32
    assert outputs["energy"].tolist() == [1.5, 2.5]


def test_warmup_requests_run_through_every_signature(tmp_path, rng):
    from tensorflow_serving.apis import prediction_log_pb2

    x = rng.integers(0, 256, size=(20, 5, 4, 1)).astype(np.float32)
    model = dv.DELVM(dv.networks.cnn((2,), 3))
    model.adapt(x)
    folder = dv.export_saved_model(model, tmp_path, warmup=(1, 3))
    served = tf.saved_model.load(str(folder)).signatures
    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    seen = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        request = log.predict_log.request
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        seen.append((request.model_spec.signature_name, len(next(iter(inputs.values())))))
        outputs = served[seen[-1][0]](**{n: tf.constant(v) for n, v in inputs.items()})
        assert all(np.isfinite(np.asarray(v, np.float32)).all() for v in outputs.values())
    assert sorted(seen) == sorted((name, rows) for name in served for rows in (1, 3))
