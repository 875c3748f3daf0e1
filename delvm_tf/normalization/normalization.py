"""The layer that maps raw inputs to the units an energy is written in."""

import math
import numbers
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from delvm_tf.inputs.arrays import is_wide
from delvm_tf.inputs.columns import called
from delvm_tf.inputs.notices import warn
from delvm_tf.normalization.statistics import Statistics

MODES = ("none", "minmax", "zscore", "center", "zca")
"""Ways to normalise; `InputNormalization` says what they are.

Examples:
    >>> dv.normalization.MODES
    ('none', 'minmax', 'zscore', 'center', 'zca')
"""
FLOAT32_OFFSET = 1e5  # |mean| in spreads up to which float32 will do; see `set_statistics`


@keras.saving.register_keras_serializable(package="delvm_tf")
class InputNormalization(keras.layers.Layer):
    """z = scale · normalise(x), with statistics taken from the training data.

    The quadratic term of an energy fixes unit noise on every input, so the scale of z decides what
    can be learned: directions in which z has second moment below 1 are left to the noise.

    | mode     | normalise(x)                                                        |
    |----------|---------------------------------------------------------------------|
    | `none`   | x                                                                   |
    | `minmax` | (x − min) / (max − min), with the extremes over all features        |
    | `zscore` | (x − mean) / std, feature by feature                                |
    | `center` | (x − mean) / s, where s² is the variance averaged over the features |
    | `zca`    | (x − mean) U(Λ + ε)^(−½)Uᵀ for the covariance UΛUᵀ, ε = `zca_epsilon` · mean(Λ) |

    The shift is kept, and subtracted from inputs of 32-bit and wider integers and of float64, in
    float64; what is left is float32. So a large offset, such as that of a Unix time, costs no
    digits.

    A feature is constant if its values differ by rounding only; see `Statistics.constant`.

    Args:
        mode: one of the above; None is `"none"`.
        scale: factor on the result, 1/σ of the visible noise.
        zca_epsilon: regularisation of `zca`, relative to the mean eigenvalue.
        feature_names: names of the columns of x, where they are known; set by `adapt`.

    Raises:
        ValueError: for an unknown mode or a scale or epsilon that is not positive and finite.

    Examples:
        >>> model = dv.DELVM(dv.networks.ffnn((4,)), normalization="zscore", scale=2.0)
        >>> model.adapt(x)
        >>> z = model.normalization(x)
        >>> np.std(z, axis=0).round(3)
        array([2., 2., 2., 2., 2., 2.], dtype=float32)
        >>> np.allclose(model.normalization.invert(z), x, atol=1e-5)
        True
    """

    def __init__(
        self,
        mode: str | None = "none",
        scale: float = 1.0,
        zca_epsilon: float = 0.01,
        feature_names: Sequence[str] | None = None,
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)
        mode = "none" if mode is None else mode
        if mode not in MODES:
            raise ValueError(f"unknown normalization {mode!r}; expected one of {', '.join(MODES)}")
        for name, value in (("scale", scale), ("zca_epsilon", zca_epsilon)):
            if not isinstance(value, numbers.Real) or not (0 < value < math.inf):
                raise ValueError(f"{name} must be a positive finite number, got {value!r}")
        self._mode = mode
        self._scale = float(scale)
        self._zca_epsilon = float(zca_epsilon)
        self.feature_names = None if feature_names is None else tuple(feature_names)

    # What the statistics were computed with cannot be changed beside them.

    @property
    def mode(self) -> str:
        """How inputs are normalised."""
        return self._mode

    @property
    def scale(self) -> float:
        """Factor on the result."""
        return self._scale

    @property
    def zca_epsilon(self) -> float:
        """Regularisation of `zca`, relative to the mean eigenvalue."""
        return self._zca_epsilon

    @property
    def result_dtype(self) -> str:
        """Type of z: float32, or float64 where the weights are float64."""
        return "float64" if self.variable_dtype == "float64" else "float32"

    def build(self, input_shape: Any) -> None:
        """Create the statistics, as yet the identity, for inputs of `input_shape[1:]`."""
        shape = tuple(input_shape[1:])
        if None in shape:
            raise ValueError(f"the shape of one input must be known, got {shape}")

        def weight(name: str, of: tuple[int, ...], initializer: Any, dtype: str = "") -> Any:
            return self.add_weight(
                name=name, shape=of, dtype=dtype or self.result_dtype, initializer=initializer,
                trainable=False, autocast=False,
            )  # fmt: skip

        self.shift = weight("shift", shape, "zeros", "float64")
        self.gain = weight("gain", shape, keras.initializers.Constant(self.scale))
        self.examples_seen = self.add_weight(
            name="examples_seen", shape=(), dtype="int64", initializer="zeros", trainable=False
        )
        if self.mode == "zca":
            d = math.prod(shape)
            self.whitening = weight("whitening", (d, d), keras.initializers.Identity())
            self.unwhitening = weight("unwhitening", (d, d), keras.initializers.Identity())
        self.built = True

    @property
    def adapted(self) -> bool:
        """Whether the statistics are there (always, for mode `none`)."""
        if self.mode == "none":
            return True
        if not self.built:
            return False
        with tf.init_scope():
            return int(np.asarray(self.examples_seen)) > 0

    def new_statistics(self) -> Statistics:
        """Empty statistics of the kind this mode needs."""
        return Statistics(covariance=self.mode == "zca")

    def set_statistics(self, statistics: Statistics) -> None:
        """Adopt the statistics of the training data.

        Warns where a mean is more than 10⁵ spreads (of what a feature is divided by; its standard
        deviation for `none` and `zca`) from zero. Rounding x to float32 errs by up to 2⁻²⁴|mean|,
        so up to there by 0.6 % of the spread. float32 inputs, those of a served model among them,
        have lost more than that before they are seen.

        Raises:
            ValueError: if there are fewer than two examples, or all features are constant.
        """
        shape = tuple(self.shift.shape)
        self.check_statistics(statistics)
        shift, spread = self._shift_and_spread(statistics)
        self._warn_of_offsets(statistics, shift, spread)
        self.shift.assign(np.broadcast_to(shift, shape_size(shape)).reshape(shape))
        gain = self.scale / np.broadcast_to(spread, shape_size(shape))
        self.gain.assign(gain.reshape(shape))
        if self.mode == "zca":
            eigenvalues, vectors = np.linalg.eigh(statistics.covariance)
            rounding = len(eigenvalues) * np.finfo(np.float64).eps * eigenvalues.max()
            eigenvalues = np.where(eigenvalues > rounding, eigenvalues, 0.0)
            root = np.sqrt(eigenvalues + self.zca_epsilon * eigenvalues.mean())
            self.whitening.assign((vectors / root) @ vectors.T)
            self.unwhitening.assign((vectors * root) @ vectors.T)
        self.examples_seen.assign(statistics.count)

    def check_statistics(self, statistics: Statistics, names: Sequence[str] | None = None) -> None:
        """Whether this mode can adopt the statistics; changes nothing.

        Args:
            statistics: of the training data.
            names: of the features, for messages.

        Raises:
            ValueError: if there are fewer than two examples, all features are constant, or values
                are beyond the range of float32.
        """
        if self.mode == "none":
            return
        largest = max(np.abs(statistics.minimum).max(), np.abs(statistics.maximum).max())
        if largest > np.finfo(np.float32).max:
            size = np.maximum(np.abs(statistics.minimum), np.abs(statistics.maximum))
            beyond = size > np.finfo(np.float32).max
            raise ValueError(
                f"x reaches {largest:.3g}, beyond the range of float32, in which models compute, "
                f"in {beyond.sum()} of {beyond.size} features (first: "
                f"{called(np.flatnonzero(beyond), beyond.size, names)}); choose another unit"
            )
        if statistics.count < 2:
            raise ValueError(
                f"normalization={self.mode!r} needs at least 2 examples to measure their spread, "
                f"got {statistics.count}; adapt on more data or use normalization='none'"
            )
        if statistics.constant.all():
            raise ValueError(
                f"every feature is constant over the {statistics.count} examples, or varies by "
                f"less than float32 can hold, so there is nothing to normalise; check that the "
                f"data were loaded correctly"
            )

    def _warn_of_offsets(self, statistics: Statistics, shift: Any, spread: Any) -> None:
        of_features = self.mode in ("none", "zca")
        center = statistics.mean if self.mode == "none" else np.atleast_1d(shift)
        width = np.sqrt(statistics.variance) if of_features else np.atleast_1d(spread)
        varies = ~statistics.constant if len(center) > 1 or of_features else np.array([True])
        beyond = varies & (np.abs(center) > FLOAT32_OFFSET * width)
        if beyond.any():
            where = np.flatnonzero(beyond)
            kept = (
                "is rounded to float32, as normalization='none' subtracts nothing"
                if self.mode == "none"
                else "from an array of float64 or integers is subtracted in float64, but float32 "
                "inputs, which a served or exported model takes, are rounded"
            )
            warn(
                f"{beyond.sum()} of {beyond.size} features lie more than {FLOAT32_OFFSET:g} "
                f"spreads away from zero (first: {self._first_of(where, beyond)}). Such an offset "
                f"{kept}; "
                f"subtract it from the data."
            )

    def _first_of(self, where: np.ndarray, of: np.ndarray) -> str:
        return called(where, of.size, self.feature_names)

    def _shift_and_spread(self, statistics: Statistics) -> tuple[Any, Any]:
        if self.mode == "none":
            return 0.0, 1.0
        constant = statistics.constant
        if self.mode == "minmax":
            low, high = statistics.minimum.min(), statistics.maximum.max()
            return low, high - low
        if self.mode == "center":
            return statistics.mean, np.sqrt(statistics.variance.mean())
        if self.mode == "zca":
            return statistics.mean, 1.0
        if constant.any():
            where = np.flatnonzero(constant)
            warn(
                f"{constant.sum()} of {constant.size} features are constant over the training "
                f"data (first: {self._first_of(where, constant)}); they are centred but not "
                f"divided by a spread that is zero or rounding. normalization='center' divides all "
                f"features by one number instead."
            )
        return statistics.mean, np.where(constant, 1.0, np.sqrt(statistics.variance))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Raw inputs to normalised ones, (batch, ...) of the same shape."""
        shift = tf.convert_to_tensor(self.shift)
        if is_wide(x.dtype):
            centred = tf.cast(tf.cast(x, tf.float64) - shift, self.result_dtype)
        else:
            centred = tf.cast(x, self.result_dtype) - tf.cast(shift, self.result_dtype)
        z = centred * self.gain
        return self._rotate(z, self.whitening) if self.mode == "zca" else z

    def raw_dtype(self, dtype: Any = None) -> str:
        """The type that raw units need: float64 for inputs of types wider than float32.

        Args:
            dtype: of the inputs; without, float64 where an offset is beyond float32.
        """
        if dtype is not None:
            return "float64" if is_wide(dtype) else self.result_dtype
        shift, gain = (np.asarray(w) for w in (self.shift, self.gain))
        beyond = np.abs(shift) * gain > FLOAT32_OFFSET * self.scale
        return "float64" if beyond.any() else self.result_dtype

    def invert(self, z: tf.Tensor, dtype: str | None = None) -> tf.Tensor:
        """Normalised inputs back to raw units, in the given type or that of z."""
        if self.mode == "zca":
            z = self._rotate(z, self.unwhitening)
        centred = z / self.gain
        dtype = centred.dtype if dtype is None else dtype
        return tf.cast(centred, dtype) + tf.cast(tf.convert_to_tensor(self.shift), dtype)

    def log_determinant(self) -> tf.Tensor:
        """The logarithm of |det ∂z/∂x|, float64: what −log p(z) and −log p(x) differ by."""
        result = tf.reduce_sum(tf.math.log(tf.cast(tf.convert_to_tensor(self.gain), tf.float64)))
        if self.mode == "zca":
            whitening = tf.cast(tf.convert_to_tensor(self.whitening), tf.float64)
            result += tf.linalg.slogdet(whitening).log_abs_determinant
        return result

    def _rotate(self, z: tf.Tensor, matrix: Any) -> tf.Tensor:
        flat = tf.reshape(z, (-1, matrix.shape[0]))
        return tf.reshape(tf.matmul(flat, tf.convert_to_tensor(matrix)), tf.shape(z))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Same as the input's."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {
            **super().get_config(),
            "mode": self.mode,
            "scale": self.scale,
            "zca_epsilon": self.zca_epsilon,
            "feature_names": self.feature_names,
        }


def shape_size(shape: tuple[int, ...]) -> tuple[int]:
    """The shape flattened to one axis."""
    return (math.prod(shape),)
