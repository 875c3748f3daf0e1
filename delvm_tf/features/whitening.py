"""Contrast normalisation and whitening of patches."""

from typing import Any

import numpy as np
import tensorflow as tf

BLOCK = 10_000  # patches at a time


class PatchWhitening:
    """z = (q(p) − m) U(Λ + ε)^(−½)Uᵀ, with q(p) = (p − mean p) / √(var p + offset).

    Mean and variance of q are over the values of one patch; m and the covariance UΛUᵀ are those of
    q over all patches given. With `components` there are as many values, those of the directions
    of most variance: z = (q(p) − m) U(Λ + ε)^(−½). Cost: d² or d·components multiply-adds per patch
    of d values.

    Args:
        patches: raw patches, (n, d).
        offset: added to the variance, for values between 0 and 255; it keeps noise in flat patches
            from being blown up.
        epsilon: ε, added to the eigenvalues.
        components: how many directions to keep; all d, turned back to the patch, if None.

    Attributes:
        matrix: the whitening of centred patches, (d, d) or (d, components) float32.
        shift: m times it, (d,) or (components,) float32.

    Raises:
        ValueError: for another shape, fewer than two patches, values that are not finite, an offset
            or epsilon that is not positive, or components out of range.

    Examples:
        >>> patches = dv.features.sample_patches(images, 3, 500, seed=0)
        >>> whiten = dv.features.PatchWhitening(patches, components=4)
        >>> z = whiten(patches).numpy()
        >>> z.shape, np.allclose(z.mean(axis=0), 0, atol=1e-5)
        ((500, 4), True)
    """

    def __init__(
        self, patches: Any, offset: float = 10.0, epsilon: float = 0.1,
        components: int | None = None,
    ):  # fmt: skip
        patches = np.asarray(patches)
        if patches.ndim != 2 or len(patches) < 2:
            raise ValueError(
                f"patches must have shape (n, d) with two or more of them, got {patches.shape}"
            )
        if not np.isfinite(patches).all():
            raise ValueError("the patches hold NaN or infinity; check the images")
        for name, value in (("offset", offset), ("epsilon", epsilon)):
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value!r}")
        if components is not None and not 1 <= components <= patches.shape[1]:
            raise ValueError(
                f"components must lie between 1 and the {patches.shape[1]} values of a patch, got "
                f"{components!r}"
            )
        self.offset = float(offset)
        self.epsilon = float(epsilon)
        mean, covariance = self._moments(patches)
        eigenvalues, vectors = np.linalg.eigh(covariance)
        whitening = vectors / np.sqrt(np.maximum(eigenvalues, 0) + self.epsilon)
        if components is None:
            whitening = whitening @ vectors.T
        else:
            whitening = whitening[:, : -components - 1 : -1]  # eigenvalues ascend
        self.matrix = whitening.astype(np.float32)
        self.shift = (mean @ whitening).astype(np.float32)

    def _moments(self, patches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of normalised patches, in float64, block by block."""
        d = patches.shape[1]
        total, products = np.zeros(d), np.zeros((d, d))
        for start in range(0, len(patches), BLOCK):
            rows = np.asarray(patches[start : start + BLOCK], dtype=np.float64)
            rows = rows - rows.mean(axis=1, keepdims=True)
            rows /= np.sqrt(np.square(rows).mean(axis=1, keepdims=True) + self.offset)
            total += rows.sum(axis=0)
            products += rows.T @ rows
        mean = total / len(patches)
        return mean, products / len(patches) - np.outer(mean, mean)

    def change_to(self, other: "PatchWhitening") -> np.ndarray:
        """T with z′ = zT, from what this makes of patches, z, to what another makes of them, z′.

        Filters w of z′ are so filters Tw of z. Both must come from the same patches, with the same
        offset and all components, and so differ in ε.

        Returns:
            T = (Λ + ε)^½(Λ + ε′)^(−½) in the directions of U, (d, d) float32.
        """
        change = np.linalg.solve(self.matrix.astype(np.float64), other.matrix.astype(np.float64))
        return change.astype(np.float32)

    def __call__(self, patches: tf.Tensor) -> tf.Tensor:
        """Whitened patches, (n, d) float32, of raw ones."""
        p = tf.cast(patches, tf.float32)
        p -= tf.reduce_mean(p, axis=1, keepdims=True)
        variance = tf.reduce_mean(tf.square(p), axis=1, keepdims=True)
        # The division commutes with the product; after it, it comes for free with the shift.
        return tf.matmul(p, self.matrix) * tf.math.rsqrt(variance + self.offset) - self.shift
