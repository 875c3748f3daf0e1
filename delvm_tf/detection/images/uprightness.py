"""How well an image stands upright, learned from images and their turned and mirrored versions."""

import numpy as np
import tensorflow as tf
from scipy.sparse.linalg import LinearOperator, cg

from delvm_tf.detection.registry import register

RIDGE = 3.0  # in units of the mean variance of a code
TOLERANCE = 1e-5
HELD_OUT = 0.15  # share of the images that say how well it can be told
SURE = 0.25  # how far above chance it counts in full


@register()
class Uprightness:
    """Anomaly score −wᵀh/s of codes h: how little an image stands as the training's images do.

    w = (C + λI)⁻¹(m − m̄) is the linear discriminant between the codes of upright images, of mean m,
    and those of all eight versions, of mean m̄ and covariance C; λ is three times the mean variance
    of a code. No labels are needed, and as the codes of moved images are the codes in another
    order, nothing but that discriminant is computed. It pays heed to what makes a direction of
    images, their parts and the light on them, which other images do not have.

    What cannot be told must not count. Of held-out training images t is the mean share of the seven
    other versions that stand less upright than the image, and e its standard error; the weight is
    clip((2(t − 2e) − 1)/0.25, 0, 1), 0 at chance. It is part of the score. s is the range from 5%
    to 95% of the scores of these images.

    Cost of `fit`: 32·n·d multiply-adds for each step of conjugate gradients, some dozen. Source of
    the idea: Golan and El-Yaniv (2018), who train a deep classifier of such versions.

    Args:
        codes: of the training, (n, d) float32.
        orders: of the codes of moved images, (8, d); see `code_orders`.
        seed: of what is held out.

    Attributes:
        told: t.
        weight: between 0 and 1.
    """

    def __init__(self, codes: np.ndarray, orders: np.ndarray, seed: int):
        held = np.zeros(len(codes), bool)
        some = max(1, round(HELD_OUT * len(codes)))
        held[np.random.default_rng(seed).permutation(len(codes))[:some]] = True
        direction, mean = discriminant(codes[~held], orders)
        rest = codes[held] - mean
        upright = rest @ direction
        others = np.stack([rest[:, order] @ direction for order in orders[1:]], axis=1)
        below = others < upright[:, np.newaxis]
        told = np.mean(below + 0.5 * (others == upright[:, np.newaxis]), axis=1)
        error = told.std() / np.sqrt(len(told)) if len(told) > 1 else 0.5
        self.told = float(told.mean())
        self.weight = float(np.clip((2 * (self.told - 2 * error) - 1) / SURE, 0, 1))
        low, middle, high = np.quantile(upright, [0.05, 0.5, 0.95])
        spread = high - low if high > low else 1.0
        direction, mean = discriminant(codes, orders)
        self.kernel = tf.Variable(direction / spread, dtype=tf.float32, trainable=False)
        self.shift = float((mean @ direction + middle) / spread)

    def __call__(self, codes: tf.Tensor) -> tf.Tensor:
        """Weighted anomaly scores, (batch,) float32, of codes, (batch, d)."""
        return self.weight * (self.shift - tf.linalg.matvec(codes, self.kernel))


def discriminant(codes: np.ndarray, orders: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The w and m̄ of `Uprightness`, (d,) float32 each, by conjugate gradients."""
    mean = codes.mean(axis=0, dtype=np.float64)
    usual = np.mean([mean[order] for order in orders], axis=0)
    z = codes - usual.astype(np.float32)
    back = np.argsort(orders, axis=1)
    count = len(orders) * len(codes)
    ridge = RIDGE * np.square(z).sum(dtype=np.float64) / (len(codes) * z.shape[1])

    def product(v: np.ndarray) -> np.ndarray:
        v = np.asarray(v, np.float32).ravel()
        seen = z @ v[back].T  # of the images moved by each
        gone = z.T @ seen
        total = sum(gone[order, k] for k, order in enumerate(orders))
        return total / count + ridge * v

    d = z.shape[1]
    towards = (mean - usual).astype(np.float32)
    if not ridge > 0:
        return np.zeros(d, np.float32), usual.astype(np.float32)
    operator = LinearOperator((d, d), matvec=product, dtype=np.float32)
    found, _ = cg(operator, towards, rtol=TOLERANCE, maxiter=200)
    return found.astype(np.float32), usual.astype(np.float32)
