"""Models whose energies at all noise levels are those of a known mixture of normal densities."""

import numpy as np
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.curvature import HalfSquaredNorm
from delvm_tf.curvature.sums import beside
from delvm_tf.models.noise_conditional.energy_model import NoiseConditionalEnergyModel


class ExactMixture(NoiseConditionalEnergyModel):
    """E(z, σ) = −log Σₖ wₖ N(z; mₖ, Cₖ + σ²I), in nats, of inputs of any shape."""

    outer = HalfSquaredNorm()

    def __init__(self, weights, means, covariances, shape=None, **kwargs):
        kwargs = {"normalization": "none", "dtype": "float64", **kwargs}
        super().__init__(dv.networks.level_ffnn((1,)), **kwargs)
        self.means, self.covariances = np.asarray(means, float), np.asarray(covariances, float)
        self.weights_of_parts = np.asarray(weights, float) / np.sum(weights)
        self.eigen = [np.linalg.eigh(covariance) for covariance in self.covariances]
        self.build((None, *(shape or self.means.shape[1:])))

    def build_parameters(self, input_shape):
        self.visible.build(input_shape)

    def normalized_energy(self, z, log_sigma=None):
        variance = tf.exp(2 * self.per_example(z, log_sigma))[:, None]
        flat = tf.reshape(z, (-1, self.means.shape[1]))
        parts = []
        for weight, mean, (values, vectors) in zip(
            self.weights_of_parts, self.means, self.eigen, strict=True
        ):
            total = tf.constant(values, z.dtype) + variance
            along = tf.matmul(flat - tf.constant(mean, z.dtype), tf.constant(vectors, z.dtype))
            terms = tf.square(along) / total + tf.math.log(2 * np.pi * total)
            parts.append(np.log(weight) - 0.5 * tf.reduce_sum(terms, axis=1))
        return -tf.reduce_logsumexp(tf.stack(parts), axis=0)

    def normalized_energy_and_reconstruction(self, z, log_sigma=None):
        log_sigma = self.per_example(z, log_sigma)
        with tf.GradientTape() as tape:
            tape.watch(z)
            energy = self.normalized_energy(z, log_sigma)
        return energy, z - beside(tf.exp(2 * log_sigma), z) * tape.gradient(energy, z)

    def draw(self, n, sigma=0.0, seed=0):
        """Exact samples at a level, (n, d)."""
        rng = np.random.default_rng(seed)
        part = rng.choice(len(self.means), n, p=self.weights_of_parts)
        roots = [vectors * np.sqrt(values + sigma**2) for values, vectors in self.eigen]
        drawn = rng.normal(size=(n, self.means.shape[1]))
        return self.means[part] + np.einsum("nij,nj->ni", np.array(roots)[part], drawn)

    def responsibilities(self, x, sigma=0.0):
        """The probability of each part given points at a level, (n, parts)."""
        logs = []
        for weight, mean, (values, vectors) in zip(
            self.weights_of_parts, self.means, self.eigen, strict=True
        ):
            along, total = (x - mean) @ vectors, values + sigma**2
            logs.append(np.log(weight) - 0.5 * (along**2 / total + np.log(total)).sum(axis=1))
        shares = np.exp(np.array(logs).T - np.max(logs, axis=0)[:, None])
        return shares / shares.sum(axis=1, keepdims=True)


def gaussian(d=3, seed=3, **kwargs):
    """Normal data of full covariance, with standard deviations from 0.2 to 1.5."""
    rng = np.random.default_rng(seed)
    vectors = np.linalg.qr(rng.normal(size=(d, d)))[0]
    covariance = vectors @ np.diag(np.geomspace(0.2, 1.5, d) ** 2) @ vectors.T
    kwargs = {"smallest_noise": 0.05, "largest_noise": 20.0, **kwargs}
    return ExactMixture([1.0], rng.normal(size=(1, d)), [covariance], **kwargs)


def mixture(d=2, seed=1, **kwargs):
    """Three separate modes of unequal weights and shapes, with mean 0 and a spread of about 1."""
    rng = np.random.default_rng(seed)
    weights = np.array([0.6, 0.3, 0.1])
    means = rng.normal(size=(3, d))
    means *= 1.7 / np.linalg.norm(means, axis=1, keepdims=True) * np.sqrt(d / 2)
    means -= weights @ means
    covariances = []
    for _ in range(3):
        vectors = np.linalg.qr(rng.normal(size=(d, d)))[0]
        covariances.append(vectors @ np.diag(np.geomspace(0.15, 0.45, d) ** 2) @ vectors.T)
    kwargs = {"smallest_noise": 0.05, "largest_noise": 20.0, **kwargs}
    return ExactMixture(weights, means, covariances, **kwargs)


def energy_distance_test(x, y, permutations=200, seed=0):
    """The p-value of the two-sample test of Székely and Rizzo (2004), by permutation."""
    rng, both = np.random.default_rng(seed), np.concatenate([x, y])
    squares = np.square(both).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * both @ both.T, 0))
    signs = np.repeat([1 / len(x), -1 / len(y)], [len(x), len(y)])

    def statistic(s):
        return -s @ distances @ s

    observed = statistic(signs)
    beyond = sum(statistic(rng.permutation(signs)) >= observed for _ in range(permutations))
    return (1 + beyond) / (1 + permutations)
