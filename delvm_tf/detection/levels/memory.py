"""The energy that denoises training rows best, at the noise level that suits them."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from delvm_tf.detection.registry import register

LEVELS = tuple(2.0**k for k in range(1, -6, -1))  # σ that are tried, from 2 to 1/32
Itself = tuple[tf.Tensor, tf.Tensor]  # number of a row and whether x is that, (batch,) each
FORGOTTEN = 1e12  # half the squared distance of a row that is left out


@register()
class DenoisingMemory:
    """The error ‖σ∇U‖² of U(x, σ) = −log (1/n) Σᵢ exp(−‖x − aᵢ‖²/2σ²) for remembered rows a.

    Among all energies U has the least denoising error on the rows themselves, whose density
    smoothed by σ it is. Its only hidden variable says which row it is: ∇U = (x − x̂)/σ², where x̂ =
    Σᵢ P(i|x) aᵢ. It knows what a network smooths over, single codes and clusters, but nothing
    between the rows.

    A row of the training may be left out of its own energy, once. So it counts as new, and a
    strange one is as strange as if it had not been there. The level is the one at which rows that
    are left out are closest to their means x̂ (`choose_level`): a small one where values repeat, a
    larger one where rows are few or smooth. Source for the idea: kernel contraction
    matching (CIKM 2026), which takes the mean.

    Cost: two products of the batch with all rows. Distances are in float64, for small levels divide
    what is left of them by σ².

    Args:
        rows: distinct rows, (n, d) float32.
        counts: how often each occurs, (n,), which is its weight in the mean.
        sigma: σ, the noise level.
    """

    needed = ("sigma",)  # attributes without which a saved one is not what this is

    def __init__(self, rows: np.ndarray, counts: np.ndarray, sigma: float = LEVELS[0]):
        # Variables, for a graph holds two gigabytes of constants at most.
        self.rows = tf.Variable(rows, dtype=tf.float32, trainable=False)
        self.counts = tf.Variable(counts, dtype=tf.float32, trainable=False)
        self.sigma = sigma

    def halves(self, x: tf.Tensor) -> tf.Tensor:
        """½‖x − aᵢ‖² of x, (batch, d) float32, and all rows, (batch, rows) float64."""
        a, z = tf.cast(tf.convert_to_tensor(self.rows), tf.float64), tf.cast(x, tf.float64)
        squares = tf.reduce_sum(tf.square(z), axis=1, keepdims=True)
        # One product gives ½‖x‖² − x·a + ½‖a‖².
        left = tf.concat([z, squares / 2, tf.ones_like(squares)], axis=1)
        of_rows = tf.reduce_sum(tf.square(a), axis=1, keepdims=True)
        right = tf.concat([-a, tf.ones_like(of_rows), of_rows / 2], axis=1)
        return tf.matmul(left, right, transpose_b=True)

    def __call__(
        self, x: tf.Tensor, halves: tf.Tensor, itself: Itself | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The errors of x, and the means x̂.

        Args:
            x: (batch, d) float32.
            halves: of x.
            itself: the row that x may be, and whether it is and so left out; None leaves nothing
                out.

        Returns:
            (batch,) and (batch, d) float32.
        """
        mean = self._denoiser(halves, itself)(self.sigma)
        return tf.reduce_sum(tf.square(x - mean), axis=1) / self.sigma**2, mean

    def choose_level(self, x: tf.Tensor, halves: tf.Tensor, itself: Itself) -> None:
        """Set σ to where ‖x − x̂‖ has the least median over x, rows of the training.

        Arguments: see `__call__`. Of equal levels it is the largest.
        """
        mean = self._denoiser(halves, itself)
        lengths = [tf.norm(x - mean(sigma), axis=1) for sigma in LEVELS]
        self.sigma = LEVELS[int(np.median(np.stack(lengths), axis=1).argmin())]

    def _denoiser(self, halves: tf.Tensor, itself: Itself | None) -> Callable[[float], tf.Tensor]:
        """x̂, (batch, d), as a function of σ."""
        counts = tf.convert_to_tensor(self.counts)[:, tf.newaxis]
        weighted = tf.concat([counts * self.rows, counts], axis=1)
        if itself is not None:
            place, same = itself
            single = tf.equal(tf.gather(counts[:, 0], place), 1)
            halves = _far(halves, place, tf.logical_and(same, single))
            # Of several that are the same all but one stay.
            one = tf.cast(tf.logical_and(same, tf.logical_not(single)), tf.float32)
            one = one[:, tf.newaxis] * tf.gather(weighted / counts, place)
        nearest = tf.reduce_min(halves, axis=1, keepdims=True)
        exponents = tf.cast(nearest - halves, tf.float32)

        def mean(sigma: float) -> tf.Tensor:
            kernels = tf.exp(exponents / sigma**2)
            sums = tf.matmul(kernels, weighted)
            if itself is not None:
                sums -= one * tf.gather(kernels, place, batch_dims=1)[:, tf.newaxis]
            return sums[:, :-1] / sums[:, -1:]

        return mean


def _far(halves: tf.Tensor, place: tf.Tensor, which: tf.Tensor) -> tf.Tensor:
    """Halves in which the row at each x's place is far, where x is one of these."""
    there = tf.stack([tf.range(tf.size(place)), place], axis=1)
    far = tf.where(which, tf.constant(FORGOTTEN, tf.float64), tf.gather_nd(halves, there))
    return tf.tensor_scatter_nd_update(halves, there, far)


def distinct_rows(x: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Which rows a memory keeps of x, (n, d) in random order: its first `most` distinct ones.

    Returns:
        Their numbers, and how often each occurs as far as all that occurs is kept.
    """
    end = 2 * most
    while True:
        _, first, which = np.unique(_as_bytes(x[:end]), return_index=True, return_inverse=True)
        if len(first) > most or end >= len(x):
            break
        end *= 4
    places = np.sort(first)
    whole = places[most] if len(places) > most else len(x)
    places = places[:most]
    return places, np.bincount(which[:whole], minlength=len(first))[which[places]]


def _as_bytes(x: np.ndarray) -> np.ndarray:
    """Rows as what NumPy compares as a whole, (n,)."""
    x = np.ascontiguousarray(x + 0.0)  # −0 is 0
    return x.view(np.dtype((np.void, x.itemsize * x.shape[1]))).ravel()
