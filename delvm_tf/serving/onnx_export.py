"""Writing one signature of a model or a detector as an ONNX file."""

import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from delvm_tf.curvature.loops import find_loop
from delvm_tf.distribution.chief import writes_files
from delvm_tf.serving import model_card
from delvm_tf.serving.onnx_operations import handlers
from delvm_tf.serving.subject import DEFAULT, Outputs, Subject
from delvm_tf.storage.ownership import make_folder, refuse_foreign_file, whole
from delvm_tf.storage.paths import local_path

OPSET = 18
NAN = float("nan")


def export_onnx(
    model_or_detector: Any, path: str | os.PathLike[str], signature: str = DEFAULT
) -> Path:
    """Write one signature of `export_saved_model` as an ONNX file, for runtimes without TensorFlow.

    One input, `x`, float32 in raw units with a free batch dimension; the outputs have the names
    and values they have in the SavedModel. Normalisation, derivatives and threshold are inside. An
    ONNX graph cannot refuse a request, so rows with NaN or infinity give NaN in all outputs that
    are numbers, and count as abnormal. The file's properties say what it is, as JSON:
    `model`, `threshold` (null without a detector), `signature` and `versions`.

    Args:
        model_or_detector: what `export_saved_model` takes.
        path: of the file, on this machine; its folder is made if it does not exist. A file that
            this function wrote is replaced.
        signature: its name; an ONNX file holds one. Not `encoded_images`, for ONNX decodes none.

    Returns:
        The path. Of several workers only the chief writes.

    Raises:
        ImportError: if tf2onnx is missing.
        TypeError: if there is nothing to export, or a detector scores in Python alone.
        ValueError: if the model is not ready, the signature unknown, or an operation of the
            network has no counterpart in ONNX; the error names it. If the path is an address such
            as `gs://`.
        FileExistsError: if there is another file.
        OSError: if the file cannot be written.
    """
    try:
        import tf2onnx
    except ImportError as error:
        raise ImportError("ONNX files need tf2onnx: pip install 'delvm_tf[onnx]'") from error
    path = local_path(path, "the path of the ONNX file")
    refuse_foreign_file(path, _is_ours(path))
    subject = Subject.of(model_or_detector)
    by_name = subject.functions()
    if signature not in by_name:
        raise ValueError(
            f"unknown signature {signature!r}; as ONNX there are {', '.join(sorted(by_name))}"
        )
    loop = find_loop(by_name[signature], subject.shape, tf.float32)
    if loop is not None:
        raise ValueError(
            f"the network cannot be written as ONNX: it runs a loop, {loop}, as recurrent layers "
            f"do, and ONNX has no gradient of a loop. Export a SavedModel, or use other layers."
        )
    if not writes_files(subject.strategy):
        return path
    make_folder(path.parent)  # before the work
    x = tf.TensorSpec((None, *subject.shape), tf.float32, name="x")
    graph = tf.function(_marked(by_name[signature]), input_signature=[x], autograph=False)
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # what it cannot convert is told below
    try:
        proto, _ = tf2onnx.convert.from_function(
            graph, input_signature=[x], opset=OPSET, custom_op_handlers=handlers()
        )
    finally:
        logger.setLevel(level)
    _refuse_unknown(proto)
    _check_types(proto, subject)
    _describe(proto, subject, signature)
    with whole(path) as partial:
        partial.write_bytes(proto.SerializeToString())
    return path


def _marked(function: Callable[[tf.Tensor], Outputs]) -> Callable[[tf.Tensor], Outputs]:
    """The function with NaN, or true, in the rows where x has NaN or infinity."""

    def marked(x: tf.Tensor) -> Outputs:
        # 0 x is NaN for these values alone, and so is every sum with it.
        bad = tf.math.is_nan(tf.reduce_sum(tf.reshape(0.0 * x, (tf.shape(x)[0], -1)), axis=1))
        outputs = function(x)
        for name, value in outputs.items():
            rows = tf.reshape(bad, (-1, *[1] * (value.shape.rank - 1)))
            nothing = tf.constant(value.dtype == tf.bool or NAN, value.dtype)  # NaN, or true
            outputs[name] = tf.where(rows, nothing, value)
        return outputs

    return marked


def _refuse_unknown(proto: Any) -> None:
    """Whatever tf2onnx does not know it passes on as it is."""
    import onnx

    unknown = Counter(
        node.op_type for node in _nodes(proto.graph)
        if node.domain or not onnx.defs.has(node.op_type)
    )  # fmt: skip
    if unknown:
        raise ValueError(
            f"the network cannot be written as ONNX, which has no counterpart of TensorFlow's "
            f"operations {', '.join(sorted(unknown))}. Export a SavedModel, or use other layers."
        )


def _check_types(proto: Any, subject: Subject) -> None:
    """Runtimes refuse a file in which two types of floats meet, as tf2onnx writes of bfloat16."""
    import onnx

    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        dtype = "" if subject.model is None else f", of dtype {subject.model.dtype_policy.name},"
        raise ValueError(
            f"the network{dtype} cannot be written as ONNX: {error}. "
            f"Export a SavedModel, or a model of dtype float32 with the same weights."
        ) from error


def _nodes(graph: Any) -> Iterator[Any]:
    """The nodes of a graph and of the bodies of its loops and branches."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)


def _describe(proto: Any, subject: Subject, signature: str) -> None:
    import onnx

    properties = {
        "model": model_card.describe(subject.model or subject.detector),
        "threshold": model_card.rule(subject.detector),
        "signature": signature,
        "versions": model_card.versions(),
    }
    onnx.helper.set_model_props(proto, {k: json.dumps(v) for k, v in properties.items()})


def _is_ours(path: Path) -> bool:
    """Whether a file is one that `export_onnx` wrote."""
    import onnx
    from google.protobuf.message import DecodeError

    if not path.is_file():
        return False
    try:
        proto = onnx.load(path, load_external_data=False)
    except (OSError, DecodeError):
        return False
    return any(p.key == "versions" and "delvm_tf" in p.value for p in proto.metadata_props)
