"""The functions that a SavedModel serves, by name."""

import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from delvm_tf.datasets.streams import images
from delvm_tf.detection.criterion import decided
from delvm_tf.schema import Schema
from delvm_tf.serving.subject import DEFAULT, Outputs, Subject

ENCODED = "encoded_images"
COLUMNS = "columns"
SCHEMA = "schema"
TABLE = "table"
EXPLAIN = "explain"
EXPLAIN_TABLE = "explain_table"
DECIDE = "decide"
DECIDE_TABLE = "decide_table"
IMAGE_BYTES = "image_bytes"
OF_TABLES = (TABLE, EXPLAIN_TABLE, DECIDE_TABLE)


class Options(NamedTuple):
    """How to serve; see `export_saved_model`."""

    max_batch_size: int
    jit_compile: bool
    explain: bool
    schema: Schema | None  # of the tables whose numbers the model takes
    white: float | None  # of encoded images; None where inputs are not images
    drawing_steps: int | None = None  # of draws, in models with noise levels


class Served(NamedTuple):
    """What goes into a SavedModel.

    Attributes:
        functions: the signatures by name.
        threshold: of a detector, or None; a variable, so that it can be changed without the graph.
    """

    functions: dict[str, Any]
    threshold: tf.Variable | None


def signatures(subject: Subject, options: Options) -> Served:
    """The functions as graphs that check what comes; see `export_saved_model`."""
    shape, columns, most = subject.shape, subject.columns, options.max_batch_size
    x = tf.TensorSpec((None, *shape), tf.float32, name="x")
    threshold = None
    if subject.detector is not None:
        threshold = tf.Variable(np.float32(subject.detector.threshold_), False, name="threshold")
    by_name = subject.functions()
    if options.explain:
        by_name[EXPLAIN] = subject.explain

    # The checks stay outside of what XLA compiles, for it drops assertions.
    inner = {
        name: tf.function(
            function, input_signature=[x], autograph=False, jit_compile=options.jit_compile or None
        )
        for name, function in by_name.items()
    }

    def default(x: tf.Tensor) -> Outputs:
        return by_threshold(inner[DEFAULT](x), threshold)

    def checking(function: Callable[[tf.Tensor], Outputs]) -> Any:
        return tf.function(
            lambda x: function(checked(x, most)), input_signature=[x], autograph=False
        )

    served = {name: checking(function) for name, function in {**inner, DEFAULT: default}.items()}
    if threshold is not None:
        served[DECIDE] = tf.function(
            lambda x, threshold: by_threshold(
                inner[DEFAULT](checked(x, most)), _thresholds(threshold, x)
            ),
            input_signature=[x, tf.TensorSpec((None,), tf.float32, name="threshold")],
            autograph=False,
        )
    if columns is not None:
        served[COLUMNS] = _saying(COLUMNS, columns, x)
    if options.schema is not None:
        served[SCHEMA] = _saying(SCHEMA, json.dumps(options.schema.to_json()), x)
        served |= _of_tables(subject, options, options.schema, threshold)
    if options.white is not None:
        white = options.white
        served[ENCODED] = tf.function(
            lambda image_bytes: default(_decoded(counted(image_bytes, most), shape, white)),
            input_signature=[tf.TensorSpec((None,), tf.string, name=IMAGE_BYTES)],
            autograph=False,
        )
    return Served(served, threshold)


def _saying(name: str, text: str | list[str], x: tf.TensorSpec) -> Any:
    """A function that says the same of all rows, for those who ask a server what its inputs are."""
    return tf.function(
        lambda x: {name: tf.repeat([text], tf.shape(x)[0], axis=0)},
        input_signature=[x], autograph=False,
    )  # fmt: skip


def by_threshold(outputs: Outputs, threshold: Any) -> Outputs:
    """The outputs with decisions by a variable, or by thresholds, (batch,); without one as is."""
    if threshold is None:
        return outputs
    scores = outputs["anomaly_score"]
    return {**outputs, **decided(scores, tf.broadcast_to(threshold, tf.shape(scores)))}


def _thresholds(threshold: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Thresholds, once there is a finite one for each row."""
    fitting = tf.debugging.Assert(
        tf.shape(threshold)[0] == tf.shape(rows)[0],
        ["give one threshold for each row, got", tf.shape(threshold)],
    )
    finite = tf.debugging.Assert(
        tf.reduce_all(tf.math.is_finite(threshold)), ["a threshold is NaN or infinite"]
    )
    with tf.control_dependencies([fitting, finite]):
        return tf.identity(threshold)


def _of_tables(
    subject: Subject, options: Options, schema: Schema, threshold: tf.Variable | None
) -> dict[str, Any]:
    """Functions of the cells of tables, one input a column."""
    inputs = schema.inputs
    numbers = tf.TensorSpec((None, len(schema.outputs)), tf.float64)
    default = tf.function(subject.functions()[DEFAULT], input_signature=[numbers], autograph=False)

    def taking(function: Callable[..., Outputs], **more: tf.TensorSpec) -> Any:
        def of_cells(**cells: tf.Tensor) -> Outputs:
            named = _named(cells, schema, options.max_batch_size)
            return function(schema.in_graph(named), *(cells[name] for name in more))

        made = tf.function(of_cells, autograph=False)
        return made.get_concrete_function(**inputs, **more)

    served = {TABLE: taking(lambda x: by_threshold(default(x), threshold))}
    if threshold is not None:
        name = threshold_name(schema)
        served[DECIDE_TABLE] = taking(
            lambda x, given: by_threshold(default(x), _thresholds(given, x)),
            **{name: tf.TensorSpec((None,), tf.float32, name=name)},
        )
    if options.explain:
        served[EXPLAIN_TABLE] = taking(
            lambda x: _in_cells(subject.explain_columns(x, schema), schema)
        )
    return served


def _in_cells(outputs: Outputs, schema: Schema) -> Outputs:
    """The outputs of `Subject.explain_columns` with text in place of codes."""
    for name, column in zip(schema.inputs, schema.columns, strict=True):
        if (expected := f"expected_{name}") in outputs:
            outputs[expected] = column.cells(outputs[expected])
    return outputs


def threshold_name(schema: Schema) -> str:
    """The input of `decide_table` for thresholds, which no column has."""
    return schema.free_name("threshold")


def _named(cells: dict[str, tf.Tensor], schema: Schema, most: int) -> dict[str, tf.Tensor]:
    """The cells by the names of columns, once there are as many of each."""
    columns = {name: cells[name] for name in schema.inputs}
    rows = tf.shape(counted(next(iter(columns.values())), most))[0]
    same = [
        tf.debugging.Assert(tf.shape(column)[0] == rows, ["the columns differ in length"])
        for column in columns.values()
    ]
    with tf.control_dependencies(same):
        return {
            column: tf.identity(value)
            for column, value in zip(schema.names, columns.values(), strict=True)
        }


def counted(x: tf.Tensor, most: int) -> tf.Tensor:
    """The same, once there is a row and no more than `most`."""
    rows = tf.shape(x)[0]
    some = tf.debugging.Assert(rows > 0, ["the request has no rows; send one or more"])
    few = tf.debugging.Assert(
        rows <= most, [f"a request may have {most} rows, and this one has more:", rows]
    )
    with tf.control_dependencies([some, few]):
        return tf.identity(x)


def checked(x: tf.Tensor, most: int) -> tf.Tensor:
    """The same, once all values are finite too."""
    finite = tf.debugging.Assert(
        tf.reduce_all(tf.math.is_finite(x)), ["x has NaN or infinite values; remove or fill them"]
    )
    with tf.control_dependencies([finite]):
        return counted(x, most)


def _decoded(image_bytes: tf.Tensor, shape: tuple[int, ...], white: float) -> tf.Tensor:
    """PNG, JPEG, BMP or GIF to raw units, as `datasets.streams.images` reads files.

    Images of another size or number of channels are an error; nothing is resized, mixed or cut.
    """

    def decode(encoded: tf.Tensor) -> tf.Tensor:
        head = tf.strings.join([tf.strings.substr(encoded, 0, images.HEAD), b"\0" * images.HEAD])

        def at(start: int, *values: bytes) -> tf.Tensor:
            found = [tf.strings.substr(head, start, len(v)) == v for v in values]
            return tf.reduce_any(tf.stack(found))

        png, bmp = at(0, images.PNG), at(0, images.BMP)
        deep = png & at(images.PNG_DEPTH, b"\x10")
        coloured = bmp & ~at(images.BMP_BITS, *images.BMP_TRUE) & ~at(*images.BMP_GREY)
        problems = [
            (png | bmp | at(0, images.JPEG, b"GIF8"), "the image is not PNG, JPEG, BMP or GIF"),
            (~coloured, "the image is a BMP with a palette of colours; send it as PNG"),
        ]
        if 1 < white <= 255:
            problem = (
                "the image has 16 bits, and the model takes 8; convert the image, or export the "
                "model with white=65535"
            )
            problems.append((~deep, problem))
        asserts = [tf.debugging.Assert(fine, [problem]) for fine, problem in problems]
        with tf.control_dependencies(asserts):
            return tf.cond(
                deep,
                lambda: _fitting(tf.io.decode_png(encoded, dtype=tf.uint16), shape, white),
                lambda: _fitting(tf.io.decode_image(encoded), shape, white),
            )

    return tf.map_fn(decode, image_bytes, fn_output_signature=tf.TensorSpec(shape, tf.float32))


def _fitting(pixels: tf.Tensor, shape: tuple[int, ...], white: float) -> tf.Tensor:
    """An image in raw units; an animation is one of more frames, (frames, ...)."""
    got = tf.shape(pixels)
    fits = tf.reduce_all(got[-3:] == shape) & (tf.size(pixels) == math.prod(shape))
    problem = f"expected an image of shape (height, width, channels) = {shape}, got"
    with tf.control_dependencies([tf.debugging.Assert(fits, [problem, got])]):
        raw = tf.cast(tf.reshape(pixels, shape), tf.float32)
    return raw * np.float32(white / pixels.dtype.max)
