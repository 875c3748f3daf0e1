"""Requests that a server runs before it takes the first real one."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from delvm_tf.serving.drawing import DRAWING, typical_drawing
from delvm_tf.serving.messages import message, predict_request
from delvm_tf.serving.signatures import (
    DECIDE,
    DECIDE_TABLE,
    ENCODED,
    IMAGE_BYTES,
    OF_TABLES,
    Options,
    threshold_name,
)
from delvm_tf.serving.subject import Subject

FILE = "assets.extra/tf_serving_warmup_requests"  # the name that TensorFlow Serving looks for


def write_warmup(
    folder: Path, subject: Subject, names: list[str], options: Options,
    batch_sizes: tuple[int, ...],
) -> None:  # fmt: skip
    """Write requests of every signature, at each batch size, all of the mean training example.

    Args:
        folder: of the SavedModel.
        subject: what is served.
        names: of the signatures.
        options: how it is served.
        batch_sizes: rows of the requests.
    """
    mean = subject.example.astype(np.float32)
    path = folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name in names:
            for rows in batch_sizes:
                inputs = {"x": np.repeat(mean[None], rows, axis=0)}
                if name == ENCODED and options.white is not None:
                    inputs = {IMAGE_BYTES: np.array([_png(mean, options.white)] * rows, object)}
                elif name in OF_TABLES and options.schema is not None:
                    inputs = options.schema.typical(rows)
                    if name == DECIDE_TABLE:
                        inputs[threshold_name(options.schema)] = np.zeros(rows, np.float32)
                elif name == DECIDE:
                    inputs["threshold"] = np.zeros(rows, np.float32)
                elif name in DRAWING:
                    inputs = typical_drawing(name, inputs["x"], subject.model)
                log = message("PredictionLog")()
                request = predict_request(inputs, subject.name, name)
                log.predict_log.request.CopyFrom(request)
                writer.write(log.SerializeToString())


def _png(image: np.ndarray, white: float) -> bytes:
    pixels = np.clip(np.rint(image * 255 / white), 0, 255).astype(np.uint8)
    return tf.io.encode_png(pixels).numpy()
