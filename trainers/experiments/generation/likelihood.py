"""How likely images are, by a model's density, by its flow, and by one normal density."""

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import multivariate_normal

from delvm_tf.models.noise_conditional.density import DensityDELVM

BY_FLOW, STEPS, PROBES = 64, 60, 2


class Likelihood(NamedTuple):
    """Bits a value of images with noise of the smallest level, in raw units; fewer is better.

    Attributes:
        images: their number.
        density: by `log_density`, a mean.
        normal: by a normal density of the training images with as much noise.
        some: images of the two that follow, the first of all.
        density_of_some: by `log_density`.
        flow_of_some: by `flow_log_density`, whose trace is estimated.
        apart: standard error of the mean difference of these two.
    """

    images: int
    density: float
    normal: float
    some: int
    density_of_some: float
    flow_of_some: float
    apart: float

    @property
    def text(self) -> str:
        """A paragraph of the report."""
        return (
            f"Bits a value of {self.images} real images with noise of the smallest level, in raw "
            f"units: {self.density:.3f} by the model's density, {self.normal:.3f} by one normal "
            f"density. Of {self.some} of them {self.density_of_some:.3f} by the density and "
            f"{self.flow_of_some:.3f} by the probability flow ({STEPS} steps, {PROBES} probes; the "
            f"mean difference has a standard error of {self.apart:.3f})."
        )


def likelihood(model: DensityDELVM, train: np.ndarray, real: np.ndarray, seed: int) -> Likelihood:
    """Measure real images, (n, height, width, channels), that the model was not trained on.

    Args:
        model: trained.
        train: images that it was trained on.
        real: others.
        seed: of the noise and of the probes.
    """
    sigma = model.noise_levels[-1]
    rng = np.random.default_rng(seed)

    def noisy(images: np.ndarray) -> np.ndarray:
        z = np.asarray(model.normalization.call(images.astype(np.float32)))
        z = z + sigma * rng.standard_normal(z.shape).astype(np.float32)
        return np.asarray(model.normalization.invert(z, "float32"))

    x, known = noisy(real), noisy(train).reshape(len(train), -1).astype(np.float64)
    bits = np.asarray(model.bits_per_dimension(x))
    normal = multivariate_normal(known.mean(axis=0), np.cov(known.T))
    nats = np.mean(normal.logpdf(x.reshape(len(x), -1)))
    some = x[:BY_FLOW]
    flow = np.asarray(model.flow_log_density(some, steps=STEPS, probes=PROBES, seed=seed))
    flow = -flow / (math.log(2) * model.size)
    difference = flow - bits[: len(some)]
    return Likelihood(
        len(x), float(bits.mean()), float(-nats / (math.log(2) * model.size)), len(some),
        float(bits[: len(some)].mean()), float(flow.mean()),
        float(difference.std(ddof=1) / math.sqrt(len(some))),
    )  # fmt: skip
