"""The energy that denoises training rows exactly, at several noise levels."""

import numpy as np
import tensorflow as tf

from delvm_tf.detection.registry import register

LARGEST, RATIO_DOUBLINGS, LEVELS = 1.0, 4, 3  # σ² falls by 2⁴ from level to level
EXACT = 1e-12  # squared relative distance of rows that are the same
FORGOTTEN = 1e12  # half the squared distance of a row that is left out
PRODUCTS, FEWEST, MOST = 50_000, 1000, 5000  # rows kept: values by this, within these


@register()
class DenoisingMemory:
    """U(x, σ) = −log (1/n) Σᵢ exp(−‖x − aᵢ‖²/2σ²) of remembered rows a, and its error ‖σ∇U‖².

    Among all energies this one has the least denoising error on the rows themselves, whose density
    smoothed by σ it is. Its only hidden variable says which row it is: ∇U = (x − x̂)/σ², where x̂ =
    Σᵢ P(i|x) aᵢ. It knows what a network smooths over, single codes and clusters, but nothing
    between the rows. The levels are σ = 1, ¼ and 1/16.

    One of the remembered rows that equal x is left out. So they count as new, and a strange one is
    as strange as if it had not been there.

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

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Energies and errors at each level of x, (batch, d) float32: (batch, 2·levels) float32."""
        rows = tf.convert_to_tensor(self.rows)
        halves, equal = self._halves(x)
        again = tf.cast(equal > 1, tf.float32)  # one of several that equal x is left out
        others = tf.cast(rows.shape[0], tf.float32) - tf.cast(equal > 0, tf.float32)
        nearest = tf.reduce_min(halves, axis=1, keepdims=True)
        weights = tf.exp(tf.cast(nearest - halves, tf.float32) / LARGEST**2)
        found = []
        for k in range(LEVELS):
            if k:
                for _ in range(RATIO_DOUBLINGS):
                    weights = tf.square(weights)
            variance = LARGEST**2 / 2 ** (RATIO_DOUBLINGS * k)
            total = tf.reduce_sum(weights, axis=1) - again
            energy = tf.cast(nearest[:, 0] / variance, tf.float32) - tf.math.log(total / others)
            mean = (tf.matmul(weights, rows) - again[:, tf.newaxis] * x) / total[:, tf.newaxis]
            found += [energy, tf.reduce_sum(tf.square(x - mean), axis=1) / variance]
        return tf.stack(found, axis=1)

    def expected(self, x: tf.Tensor) -> tf.Tensor:
        """The mean x̂ of the remembered rows given x, at the middle level, (batch, d) float32."""
        halves, _ = self._halves(x)
        nearest = tf.reduce_min(halves, axis=1, keepdims=True)
        middle = LARGEST**2 / 2**RATIO_DOUBLINGS
        weights = tf.nn.softmax(tf.cast(nearest - halves, tf.float32) / middle, axis=1)
        return tf.matmul(weights, tf.convert_to_tensor(self.rows))

    def _halves(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """½‖x − aᵢ‖², (batch, rows) float64, beyond reach for one that alone equals x.

        And how many equal x, (batch,).
        """
        a, z = tf.cast(tf.convert_to_tensor(self.rows), tf.float64), tf.cast(x, tf.float64)
        squares = tf.reduce_sum(tf.square(z), axis=1, keepdims=True)
        # One product gives ½‖x‖² − x·a + ½‖a‖².
        left = tf.concat([z, squares / 2, tf.ones_like(squares)], axis=1)
        of_rows = tf.reduce_sum(tf.square(a), axis=1, keepdims=True)
        right = tf.concat([-a, tf.ones_like(of_rows), of_rows / 2], axis=1)
        halves = tf.matmul(left, right, transpose_b=True)
        same = halves <= EXACT * squares
        equal = tf.reduce_sum(tf.cast(same, tf.float32), axis=1)
        alone = tf.logical_and(same, tf.equal(equal, 1)[:, tf.newaxis])
        return tf.where(alone, tf.constant(FORGOTTEN, tf.float64), halves), equal
