"""The functions that a SavedModel serves, by name."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from delvm_tf.datasets.streams import images
from delvm_tf.schema import Schema
from delvm_tf.serving.subject import DEFAULT, Outputs, Subject

ENCODED = "encoded_images"
COLUMNS = "columns"
TABLE = "table"
IMAGE_BYTES = "image_bytes"


class Options(NamedTuple):
    """How to serve; see `export_saved_model`."""

    max_batch_size: int
    jit_compile: bool
    explain: bool
    schema: Schema | None  # of the tables whose numbers the model takes
    white: float | None  # of encoded images; None where inputs are not images


def signatures(subject: Subject, options: Options) -> dict[str, Any]:
    """The functions as graphs that check what comes; see `export_saved_model`."""
    shape, columns = subject.shape, subject.columns
    x = tf.TensorSpec((None, *shape), tf.float32, name="x")
    by_name = subject.functions()
    if options.explain:
        by_name["explain"] = subject.explain

    def compiled(function: Callable[[tf.Tensor], Outputs]) -> Any:
        inner = tf.function(
            function, input_signature=[x], autograph=False, jit_compile=options.jit_compile or None
        )
        # The checks stay outside of what XLA compiles, for it drops assertions.
        return tf.function(
            lambda x: inner(_checked(x, options.max_batch_size)),
            input_signature=[x], autograph=False,
        )  # fmt: skip

    served = {name: compiled(function) for name, function in by_name.items()}
    if columns is not None:
        served[COLUMNS] = tf.function(
            lambda x: {COLUMNS: tf.repeat([columns], tf.shape(x)[0], axis=0)},
            input_signature=[x], autograph=False,
        )  # fmt: skip
    if options.schema is not None:
        served[TABLE] = _of_tables(by_name[DEFAULT], options.schema, options.max_batch_size)
    if options.white is not None:
        default, white = by_name[DEFAULT], options.white
        served[ENCODED] = tf.function(
            lambda image_bytes: default(
                _decoded(_counted(image_bytes, options.max_batch_size), shape, white)
            ),
            input_signature=[tf.TensorSpec((None,), tf.string, name=IMAGE_BYTES)],
            autograph=False,
        )
    return served


def _of_tables(default: Callable[[tf.Tensor], Outputs], schema: Schema, most: int) -> Any:
    """A function of the cells of tables, one input a column."""
    inputs = schema.inputs

    def of_cells(**cells: tf.Tensor) -> Outputs:
        first = next(iter(cells.values()))
        rows = tf.shape(_counted(first, most))[0]
        same = [
            tf.debugging.Assert(tf.shape(column)[0] == rows, ["the columns differ in length"])
            for column in cells.values()
        ]
        with tf.control_dependencies(same):
            named = {
                column: tf.identity(cells[name])
                for column, name in zip(schema.names, inputs, strict=True)
            }
        return default(schema.in_graph(named))

    return tf.function(of_cells, autograph=False).get_concrete_function(**inputs)


def _counted(x: tf.Tensor, most: int) -> tf.Tensor:
    rows = tf.shape(x)[0]
    some = tf.debugging.Assert(rows > 0, ["the request has no rows; send one or more"])
    few = tf.debugging.Assert(
        rows <= most, [f"a request may have {most} rows, and this one has more:", rows]
    )
    with tf.control_dependencies([some, few]):
        return tf.identity(x)


def _checked(x: tf.Tensor, most: int) -> tf.Tensor:
    finite = tf.debugging.Assert(
        tf.reduce_all(tf.math.is_finite(x)), ["x has NaN or infinite values; remove or fill them"]
    )
    with tf.control_dependencies([finite]):
        return _counted(x, most)


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
