"""The functions that a SavedModel serves, by name."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from delvm_tf.datasets.streams import images
from delvm_tf.models.energy_model import EnergyModel

DEFAULT = "serving_default"
ENCODED = "encoded_images"
COLUMNS = "columns"
IMAGE_BYTES = "image_bytes"
Outputs = dict[str, tf.Tensor]


class Options(NamedTuple):
    """How to serve; see `export_saved_model`."""

    max_batch_size: int
    jit_compile: bool
    white: float | None  # of encoded images; None for inputs that are none


def white_of(model: Any, white: float | None) -> float | None:
    """The value of a white pixel in raw units, or None if the inputs are no images.

    Without one given: the first of 1, 255 and 65535 that no pixel's mean or maximum in the training
    data exceeds.
    """
    shape = tuple(model.normalization.shift.shape)
    if len(shape) != 3 or shape[-1] not in (1, 3):
        if white is not None:
            raise ValueError(
                f"white is for models of images (height, width, 1 or 3), not of shape {shape}"
            )
        return None
    if white is not None:
        if not 0 < white < float("inf"):
            raise ValueError(f"white must be positive and finite, got {white!r}")
        return float(white)
    normalization = model.normalization
    bright = normalization.shift.numpy()
    if normalization.mode == "minmax":
        bright = bright + normalization.scale / normalization.gain.numpy()
    if normalization.mode == "none":
        return 255.0
    return 1.0 if bright.max() <= 1 else 255.0 if bright.max() <= 255 else 65535.0


def functions(model: Any, detector: Any) -> dict[str, Callable[[tf.Tensor], Outputs]]:
    """Functions of raw inputs, (batch, ...) float32, to named outputs."""

    def default(x: tf.Tensor) -> Outputs:
        error = model.reconstruction_error(x)
        outputs = {"features": model.features(x), "reconstruction_error": error}
        if detector is not None:
            name = detector.criterion_
            score = error if name == "reconstruction_error" else getattr(model, name)(x)
            score = tf.cast(score, tf.float32)
            # As in the detector: a finite row whose score overflows, to NaN too, is abnormal.
            infinity = tf.constant(float("inf"), tf.float32)
            score = tf.where(tf.abs(score) < infinity, score, infinity)
            threshold = tf.constant(detector.threshold_, tf.float32)
            outputs["anomaly_score"] = score
            outputs["is_anomaly"] = score > threshold
            outputs["threshold"] = tf.fill(tf.shape(score), threshold)
        return outputs

    by_name: dict[str, Callable[[tf.Tensor], Outputs]] = {
        DEFAULT: default,
        "features": lambda x: {"features": model.features(x)},
        "reconstruction_error": lambda x: {"reconstruction_error": model.reconstruction_error(x)},
        "reconstruct": lambda x: {"reconstruction": model.reconstruct(x)},
    }
    if isinstance(model, EnergyModel):
        by_name["energy"] = lambda x: {"energy": model.energy(x)}
        by_name["score"] = lambda x: {"score": model.score(x)}
    return by_name


def signatures(
    model: Any, detector: Any, options: Options, columns: list[str] | None = None
) -> dict[str, Any]:
    """The functions as graphs that check what comes; see `export_saved_model`."""
    shape = tuple(model.normalization.shift.shape)
    x = tf.TensorSpec((None, *shape), tf.float32, name="x")
    by_name = functions(model, detector)

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
