"""The energy that denoises training rows exactly, at several noise levels."""

import numpy as np
import tensorflow as tf

from delvm_tf.detection.registry import register

LARGEST, RATIO_DOUBLINGS, LEVELS = 1.0, 4, 3  # σ² falls by 2⁴ from level to level
PRODUCTS, FEWEST, MOST = 50_000, 1000, 5000  # rows kept: values by this, within these


@register()
class DenoisingMemory:
    """U(x, σ) = −log (1/n) Σᵢ exp(−‖x − aᵢ‖²/2σ²) of remembered rows a, and its error ‖σ∇U‖².

    Among all energies this one has the least denoising error on the rows themselves, whose density
    smoothed by σ it is. Its only hidden variable says which row it is: ∇U = (x − x̂)/σ², where x̂ =
    Σᵢ P(i|x) aᵢ. It knows what a network smooths over, single codes and clusters, but nothing
    between the rows. The levels are σ = 1, ¼ and 1/16.

    Cost: 1 + levels products of the batch with all rows. Distances are in float64, for the smallest
    level divides what is left of them by σ².

    Args:
        rows: (n, d) float32 in random order; the first 50,000/d, at least 1,000 and at most
            5,000, are remembered.
    """

    def __init__(self, rows: np.ndarray):
        count = int(np.clip(PRODUCTS // rows.shape[1], FEWEST, MOST))
        # A variable, for a graph holds two gigabytes of constants at most.
        self.rows = tf.Variable(rows[:count], dtype=tf.float32, trainable=False)

    def __call__(self, x: tf.Tensor, own: tf.Tensor | None = None) -> tf.Tensor:
        """Energies and errors at each level, (batch, 2·levels) float32.

        Args:
            x: (batch, d) float32.
            own: numbers of remembered rows to be forgotten, one for each of x, which they are.
        """
        rows = tf.convert_to_tensor(self.rows)
        distances = self._distances(x)
        if own is not None:
            distances += tf.one_hot(own, rows.shape[0], 1e12, 0.0, dtype=tf.float64)
        nearest = tf.reduce_min(distances, axis=1, keepdims=True)
        weights = tf.exp(-tf.cast(distances - nearest, tf.float32) / (2 * LARGEST**2))
        found = []
        for k in range(LEVELS):
            if k:
                for _ in range(RATIO_DOUBLINGS):
                    weights = tf.square(weights)
            variance = LARGEST**2 / 2 ** (RATIO_DOUBLINGS * k)
            total = tf.reduce_sum(weights, axis=1)
            log_mean = tf.math.log(total / rows.shape[0])
            energy = tf.cast(nearest[:, 0] / (2 * variance), tf.float32) - log_mean
            mean = tf.matmul(weights, rows) / total[:, tf.newaxis]
            found += [energy, tf.reduce_sum(tf.square(x - mean), axis=1) / variance]
        return tf.stack(found, axis=1)

    def expected(self, x: tf.Tensor) -> tf.Tensor:
        """The mean x̂ of the remembered rows given x, at the middle level, (batch, d) float32."""
        distances = self._distances(x)
        nearest = tf.reduce_min(distances, axis=1, keepdims=True)
        middle = LARGEST**2 / 2**RATIO_DOUBLINGS
        weights = tf.nn.softmax(tf.cast(nearest - distances, tf.float32) / (2 * middle), axis=1)
        return tf.matmul(weights, tf.convert_to_tensor(self.rows))

    def _distances(self, x: tf.Tensor) -> tf.Tensor:
        """‖x − aᵢ‖², (batch, rows) float64."""
        a, z = tf.cast(tf.convert_to_tensor(self.rows), tf.float64), tf.cast(x, tf.float64)
        own = tf.reduce_sum(tf.square(z), axis=1, keepdims=True)
        squares = own + tf.reduce_sum(tf.square(a), axis=1)
        return tf.nn.relu(squares - 2 * tf.matmul(z, a, transpose_b=True))
