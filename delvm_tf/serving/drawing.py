"""What a served model with noise levels draws: samples, clean data, and values that are missing."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.models.noise_conditional.drawing import Inpainting, read_mask, samples_of_seeds
from delvm_tf.samplers.sampler import positive_integer
from delvm_tf.serving.checks import checked_rows
from delvm_tf.serving.signatures import checked, counted
from delvm_tf.serving.subject import Outputs, Subject

SAMPLE, DENOISE, INPAINT = "sample", "denoise", "inpaint"
DRAWING = {SAMPLE: ("seeds",), DENOISE: ("x", "sigma"), INPAINT: ("x", "mask", "seeds")}
SEED = (0, 0)  # of all requests; rows differ by their own


def check_drawing(subject: Subject, steps: int | None) -> None:
    """Whether the model can draw in so many steps.

    Raises:
        TypeError: for a model without noise levels.
        ValueError: if the steps are no positive integer.
    """
    if steps is None:
        return
    positive_integer("drawing_steps", steps)
    if not getattr(subject.model, "noise_conditional", False):
        raise TypeError(
            "drawing_steps is for models with an energy at each noise level, such as "
            "dv.NoiseConditionalDELVM and dv.DensityDELVM"
        )


def drawing_signatures(subject: Subject, steps: int | None, most: int) -> dict[str, Any]:
    """The functions by name, none without steps; see `export_saved_model`."""
    if steps is None:
        return {}
    model: Any = subject.model
    dtype = model.normalization.result_dtype
    spec = {
        "x": tf.TensorSpec((None, *subject.shape), tf.float32, name="x"),
        "sigma": tf.TensorSpec((None,), tf.float32, name="sigma"),
        "mask": tf.TensorSpec((None, *subject.shape), tf.bool, name="mask"),
        "seeds": tf.TensorSpec((None,), tf.int32, name="seeds"),
    }

    def raw(z: tf.Tensor) -> tf.Tensor:
        return model.normalization.invert(z, "float32")

    def sample(seeds: tf.Tensor) -> Outputs:
        seeds = counted(seeds, most)
        return {"samples": raw(samples_of_seeds(model, tf.constant(SEED), seeds, steps))}

    def denoise(x: tf.Tensor, sigma: tf.Tensor) -> Outputs:
        x = checked(x, most)
        with tf.control_dependencies([_as_many(sigma, x, "sigma"), _learned(sigma, model)]):
            log_sigma = tf.math.log(tf.cast(sigma, dtype))
        return {"denoised": tf.cast(model.call(x, log_sigma), tf.float32)}

    def inpaint(x: tf.Tensor, mask: tf.Tensor, seeds: tf.Tensor) -> Outputs:
        x = counted(x, most)
        with tf.control_dependencies([_as_many(mask, x, "mask"), _as_many(seeds, x, "seeds")]):
            known = checked(tf.where(mask, x, tf.zeros_like(x)), most)
        run = Inpainting(model, 1, steps)
        drawn = run(model.normalized(known), tf.constant(SEED), seeds, mask)[:, 0]
        return {"inpainted": tf.where(mask, x, raw(drawn))}

    functions: dict[str, Any] = {SAMPLE: sample, DENOISE: denoise, INPAINT: inpaint}
    if model.normalization.mode == "zca":  # which mixes values that are known with others
        del functions[INPAINT]
    return {
        name: tf.function(
            function, input_signature=[spec[given] for given in DRAWING[name]], autograph=False
        )
        for name, function in functions.items()
    }


def _as_many(values: tf.Tensor, rows: tf.Tensor, name: str) -> tf.Operation:
    got = tf.shape(values)[0]
    return tf.debugging.Assert(
        got == tf.shape(rows)[0], [f"give one {name} for each row, got", got]
    )


def _learned(sigma: tf.Tensor, model: Any) -> tf.Operation:
    """Whether all levels are those of the model, up to their rounding; NaN is not."""
    low, high = model.noise_levels[-1] * (1 - 1e-6), model.noise_levels[0] * (1 + 1e-6)
    return tf.debugging.Assert(
        tf.reduce_all((sigma >= low) & (sigma <= high)),
        [f"sigma must lie between {model.noise_levels[-1]:g} and {model.noise_levels[0]:g}"],
    )


def drawing_inputs(
    x: Any, signature: str, shape: tuple[int | None, ...], given: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The checked inputs of a signature that draws, by name.

    Args:
        x: rows in raw units; of `sample` the seeds.
        signature: its name.
        shape: of one row.
        given: the other inputs: `sigma`, a number or one of each row; `mask` and `seeds`.

    Raises:
        TypeError: for other inputs than those, or values of other types.
        ValueError: for wrong shapes, or values that are not finite.
    """
    others = DRAWING[signature][1:]
    if {*given} != {*others}:
        raise TypeError(
            f"the signature {signature} takes {', '.join(others) or 'nothing'} besides x, got "
            f"{', '.join(given) or 'nothing'}"
        )
    if signature == SAMPLE:
        return {"seeds": _seeds(x)}
    if signature == DENOISE:
        rows = checked_rows(x, shape)
        sigma = np.asarray(given["sigma"], np.float32)
        return {"x": rows, "sigma": _of_rows(sigma, rows, "sigma")}
    values, known = read_mask(shape, x, given["mask"], "the model")
    rows = checked_rows(values, shape)
    return {"x": rows, "mask": known, "seeds": _of_rows(_seeds(given["seeds"]), rows, "seeds")}


def refuse_given(signature: str, given: Mapping[str, Any]) -> None:
    """TypeError if a signature that takes x alone is given more."""
    if given:
        raise TypeError(
            f"the signature {signature} takes nothing besides x, got {', '.join(given)}"
        )


def _seeds(seeds: Any) -> np.ndarray:
    array = np.atleast_1d(np.asarray(seeds))
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise TypeError(f"seeds must be integers, (n,), got {array.dtype} {array.shape}")
    limits = np.iinfo(np.int32)
    if array.size and not limits.min <= array.min() <= array.max() <= limits.max:
        raise ValueError(f"seeds must be integers of 32 bits, got {array.min()} to {array.max()}")
    return array.astype(np.int32)


def _of_rows(values: np.ndarray, rows: np.ndarray, name: str) -> np.ndarray:
    values = np.broadcast_to(values, len(rows)) if values.ndim == 0 else values
    if values.shape != (len(rows),):
        raise ValueError(f"{name} must be one of each row, ({len(rows)},), got {values.shape}")
    return values


def typical_drawing(signature: str, rows: np.ndarray, model: Any) -> dict[str, np.ndarray]:
    """Inputs of a signature for rows that warm a server up."""
    values = {
        "x": rows,
        "sigma": np.full(len(rows), model.default_sigma, np.float32),
        "mask": np.ones(rows.shape, bool),
        "seeds": np.arange(len(rows), dtype=np.int32),
    }
    return {name: values[name] for name in DRAWING[signature]}
