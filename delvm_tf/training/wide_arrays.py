"""Arrays of float64 on their way through Keras, which would round them to float32."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter


class WideArrays(keras.Model):
    """A `keras.Model` that gets arrays of float64 as they are.

    `fit`, `evaluate` and `predict` of Keras round arrays to `keras.config.floatx()` before a model
    sees them, so that one with a large offset loses its digits. Here they pass as 64-bit integers
    of the same bits, which Keras leaves alone, in the same batches and order, without a copy. The
    adapter is private in Keras; a test guards it.
    """

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *,
        batch_size: int | None = None,
        validation_data: Any = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Train; arguments as for `keras.Model.fit`."""
        if (
            isinstance(validation_data, tuple)
            and validation_data
            and _is_rounded(validation_data[0])
        ):
            held_out = keras.utils.unpack_x_y_sample_weight(validation_data)
            size = kwargs.get("validation_batch_size") or batch_size
            validation_data = (
                _BitsAdapter(*held_out, batch_size=size, steps=kwargs.get("validation_steps")),
            )
        if _is_rounded(x):
            share = kwargs.pop("validation_split", 0.0)
            if share and validation_data is None:
                rows = math.floor(len(x) * (1.0 - share))
                if not 0 < rows < len(x):
                    raise ValueError(
                        f"validation_split={share!r} of {len(x)} examples leaves none for training "
                        f"or none for validation"
                    )
                parts = [(None, None) if v is None else (v[:rows], v[rows:])
                         for v in (x, y, sample_weight)]  # fmt: skip
                (x, y, sample_weight), held_out = zip(*parts, strict=True)
                size = kwargs.get("validation_batch_size") or batch_size
                validation_data = (
                    _BitsAdapter(*held_out, batch_size=size, steps=kwargs.get("validation_steps")),
                )
            x = _BitsAdapter(
                x, y, sample_weight, batch_size=batch_size, steps=kwargs.get("steps_per_epoch"),
                shuffle=kwargs.pop("shuffle", True), class_weight=kwargs.pop("class_weight", None),
            )  # fmt: skip
            y = sample_weight = None
        return super().fit(
            x, y, batch_size=batch_size, validation_data=validation_data,
            sample_weight=sample_weight, **kwargs,
        )  # fmt: skip

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        *,
        batch_size: int | None = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Losses and metrics; arguments as for `keras.Model.evaluate`."""
        if _is_rounded(x):
            x = _BitsAdapter(x, y, sample_weight, batch_size=batch_size, steps=kwargs.get("steps"))
            y = sample_weight = None
        return super().evaluate(x, y, batch_size=batch_size, sample_weight=sample_weight, **kwargs)

    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> Any:
        """What the model makes of x; arguments as for `keras.Model.predict`."""
        if _is_rounded(x):
            x = _BitsAdapter(x, batch_size=batch_size, steps=kwargs.get("steps"))
        return super().predict(x, batch_size=batch_size, **kwargs)


def _is_rounded(x: Any) -> bool:
    """Whether Keras would round x."""
    return (
        isinstance(x, np.ndarray | tf.Tensor)
        and tf.as_dtype(x.dtype) == tf.float64
        and keras.config.floatx() != "float64"
    )


class _BitsAdapter(ArrayDataAdapter):
    """Keras's reader of arrays, for an x of float64."""

    def __init__(self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any):
        bits = tf.bitcast(x, tf.int64) if isinstance(x, tf.Tensor) else x.view(np.int64)
        super().__init__(bits, y, sample_weight=sample_weight, **kwargs)

    def get_tf_dataset(self) -> tf.data.Dataset:
        """The batches, with an x of float64."""

        def floats(*element: Any) -> Any:
            x = tf.bitcast(element[0], tf.float64)
            return (x, *element[1:]) if len(element) > 1 else x

        batches = super().get_tf_dataset()
        return batches.map(floats, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
