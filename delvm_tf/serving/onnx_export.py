"""Writing one signature of a model or a detector as an ONNX file."""

import json
import logging
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from delvm_tf.curvature.loops import find_loop
from delvm_tf.distribution.chief import writes_files
from delvm_tf.schema import Category, Schema
from delvm_tf.serving import model_card
from delvm_tf.serving.onnx_operations import handlers
from delvm_tf.serving.onnx_text import add_text, nodes_of
from delvm_tf.serving.signatures import (
    DECIDE,
    DECIDE_TABLE,
    EXPLAIN,
    EXPLAIN_TABLE,
    TABLE,
    by_threshold,
    threshold_name,
)
from delvm_tf.serving.subject import DEFAULT, Outputs, Subject
from delvm_tf.storage.ownership import made_folder, refuse_foreign_file, whole
from delvm_tf.storage.paths import local_path

OPSET = 18
NAN = float("nan")


def export_onnx(
    model_or_detector: Any, path: str | os.PathLike[str], signature: str = DEFAULT,
    schema: Schema | None = None,
) -> Path:  # fmt: skip
    """Write one signature of `export_saved_model` as an ONNX file, for runtimes without TensorFlow.

    Inputs and outputs have the names, types and values that they have in the SavedModel: `x`,
    float32 in raw units with a free batch dimension, and `threshold` of `decide`; or of `table`,
    `decide_table` and `explain_table` one input for each column of a table, float64 or text. Files
    of `decide` do not give `threshold` back.
    Normalisation, derivatives and threshold are inside. An ONNX graph cannot refuse a request, so
    rows that a SavedModel would refuse, with NaN, infinity or too many missing cells, give NaN in
    all outputs that are numbers, and count as abnormal. The file's properties say what it is, as
    JSON: `model`, `threshold` (null without a detector), `signature` and `versions`.

    Args:
        model_or_detector: what `export_saved_model` takes.
        path: of the file, on this machine; its folder is made if it does not exist. A file that
            this function wrote is replaced.
        signature: its name; an ONNX file holds one. Not `encoded_images`, for ONNX decodes none.
        schema: of the tables whose numbers were the training data, as `export_saved_model` has it.

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

    Examples:
        >>> detector = dv.AnomalyDetector(model).fit(x)
        >>> dv.export_onnx(detector, "detector.onnx")
        PosixPath('detector.onnx')
        >>> import onnxruntime
        >>> session = onnxruntime.InferenceSession("detector.onnx")
        >>> (decisions,) = session.run(["is_anomaly"], {"x": x})
        >>> bool(np.all(decisions == detector.is_anomaly(x)))
        True
    """
    try:
        import tf2onnx
    except ImportError as error:
        raise ImportError("ONNX files need tf2onnx: pip install 'delvm_tf[onnx]'") from error
    path = local_path(path, "the path of the ONNX file")
    refuse_foreign_file(path, _is_ours(path))
    subject = Subject.of(model_or_detector).with_schema(schema)
    by_name = _graphs(subject)
    if signature not in by_name:
        raise ValueError(
            f"unknown signature {signature!r}; as ONNX there are {', '.join(sorted(by_name))}"
        )
    made = by_name[signature]
    loop = find_loop(subject.functions()[DEFAULT], subject.shape, tf.float32)
    if loop is not None:
        raise ValueError(
            f"the network cannot be written as ONNX: it runs a loop, {loop}, as recurrent layers "
            f"do, and ONNX has no gradient of a loop. Export a SavedModel, or use other layers."
        )
    if not writes_files(subject.strategy):
        return path
    with made_folder(path.parent):
        graph = tf.function(_marked(made), input_signature=made.inputs, autograph=False)
        logger = logging.getLogger("tf2onnx")
        level = logger.level
        logger.setLevel(logging.CRITICAL)  # what it cannot convert is told below
        try:
            proto, _ = tf2onnx.convert.from_function(
                graph, input_signature=made.inputs, opset=OPSET, custom_op_handlers=handlers()
            )
        finally:
            logger.setLevel(level)
        _refuse_unknown(proto)
        add_text(proto, made.texts)
        _check_types(proto, subject)
        _describe(proto, subject, signature)
        with whole(path) as partial:
            partial.write_bytes(proto.SerializeToString())
    return path


class _Graph(NamedTuple):
    """A signature as functions of numbers.

    Attributes:
        function: the inputs, in their order, to outputs by name.
        refused: the inputs to the rows that a SavedModel would refuse, (batch,) bool.
        inputs: their types and names.
        texts: columns of the inputs and outputs, by name, that are codes and shall be text.
    """

    function: Callable[..., Outputs]
    refused: Callable[..., tf.Tensor]
    inputs: list[tf.TensorSpec]
    texts: dict[str, Category] = {}  # noqa: RUF012


def _graphs(subject: Subject) -> dict[str, _Graph]:
    """What can be written, by the names of signatures."""
    x = tf.TensorSpec((None, *subject.shape), tf.float32, name="x")
    by_name = subject.functions()
    if subject.detector is not None:
        by_name[EXPLAIN] = subject.explain
    graphs = {name: _Graph(function, _not_finite, [x]) for name, function in by_name.items()}
    if subject.detector is not None:
        threshold = tf.TensorSpec((None,), tf.float32, name="threshold")
        decide = _deciding(by_name[DEFAULT])
        graphs[DECIDE] = _Graph(decide, _not_finite, [x, threshold])
    if subject.schema is not None:
        graphs |= _of_tables(subject, subject.schema)
    return graphs


def _of_tables(subject: Subject, schema: Schema) -> dict[str, _Graph]:
    """Signatures of the codes of tables, one input a column."""
    default = subject.functions()[DEFAULT]
    texts = {
        f"{end}{name}": column
        for name, column in zip(schema.inputs, schema.columns, strict=True)
        if isinstance(column, Category) for end in ("", "expected_")
    }  # fmt: skip
    inputs = [
        tf.TensorSpec((None,), tf.int64 if name in texts else spec.dtype, name=name)
        for name, spec in schema.inputs.items()
    ]

    def taking(function: Callable[..., Outputs], *more: tf.TensorSpec) -> _Graph:
        def of_codes(*codes: tf.Tensor) -> Outputs:
            columns = dict(zip(schema.names, codes, strict=False))
            return function(schema.numbers(columns), *codes[len(columns) :])

        def refused(*codes: tf.Tensor) -> tf.Tensor:
            columns = dict(zip(schema.names, codes, strict=False))
            wrong = [tf.math.is_inf(c) for c in columns.values() if c.dtype.is_floating]
            wrong += [_not_finite(other) for other in codes[len(columns) :]]
            few = schema.missing(columns) <= schema.most_missing
            return tf.reduce_any(tf.stack([~few, *wrong]), axis=0)

        return _Graph(of_codes, refused, [*inputs, *more], texts)

    graphs = {TABLE: taking(default)}
    if subject.detector is not None:
        threshold = tf.TensorSpec((None,), tf.float32, name=threshold_name(schema))
        graphs[DECIDE_TABLE] = taking(_deciding(default), threshold)
        graphs[EXPLAIN_TABLE] = taking(lambda x: subject.explain_columns(x, schema))
    return graphs


def _deciding(default: Callable[[tf.Tensor], Outputs]) -> Callable[..., Outputs]:
    def decide(x: tf.Tensor, threshold: tf.Tensor) -> Outputs:
        outputs = by_threshold(default(x), threshold)
        outputs.pop("threshold")  # ONNX has one name for one value, and the input has it
        return outputs

    return decide


def _not_finite(*inputs: tf.Tensor) -> tf.Tensor:
    """Which rows of any of the inputs have NaN or infinity, (batch,)."""
    # 0 x is NaN for these values alone, and so is every sum with it.
    sums = [tf.reduce_sum(tf.reshape(0.0 * x, (tf.shape(x)[0], -1)), axis=1) for x in inputs]
    return tf.math.is_nan(tf.add_n(sums))


def _marked(graph: _Graph) -> Callable[..., Outputs]:
    """The function with NaN, true or no code in the rows that are refused."""

    def marked(*inputs: tf.Tensor) -> Outputs:
        bad = graph.refused(*inputs)
        outputs = graph.function(*inputs)
        for name, value in outputs.items():
            rows = tf.reshape(bad, (-1, *[1] * (value.shape.rank - 1)))
            nothing = -1 if value.dtype.is_integer else value.dtype == tf.bool or NAN
            outputs[name] = tf.where(rows, tf.constant(nothing, value.dtype), value)
        return outputs

    return marked


def _refuse_unknown(proto: Any) -> None:
    """Whatever tf2onnx does not know it passes on as it is."""
    import onnx

    unknown = Counter(
        node.op_type for node in nodes_of(proto.graph)
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
