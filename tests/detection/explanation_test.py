"""Contributions sum to the score, are right where they are known, and are served."""

import logging

import numpy as np
import pytest
import tensorflow as tf
from parity_checks.kinds import KINDS, fitted
from sklearn.neighbors import LocalOutlierFactor

import delvm_tf as dv
from delvm_tf.detection import DistanceToMean, NotExplainedError

TREES = ["isolation forest", "isolation forest of images"]
EXPLAINED = [
    "reconstruction error", "ensemble and neighbours", "combination", "Gaussian",
    *(pytest.param(k, marks=pytest.mark.slow) for k in ("energy", "ensemble", "neighbours")),
]  # fmt: skip


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in TREES and k != "noise levels"])
def test_they_sum_to_the_score(kind):
    detector, x = fitted(kind)
    found = detector.explain(x[:5])
    assert found.contributions.shape == x[:5].shape
    axes = tuple(range(1, x.ndim))
    total = found.contributions.sum(axis=axes, dtype=np.float64) + found.baseline
    scores = detector.anomaly_score(x[:5])
    np.testing.assert_allclose(total, scores, rtol=1e-4, atol=1e-4 * np.abs(scores).max())


def test_terms_of_the_error_are_squared_residuals():
    detector, x = fitted("reconstruction error")
    model = detector.model_
    found = detector.explain(x)
    z = model.normalization(x)
    expected = np.square(z - model.normalized_reconstruction(z))
    np.testing.assert_allclose(found.contributions, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.expected, model.reconstruct(x), rtol=1e-5, atol=1e-5)
    assert not found.baseline.any()


def test_an_energy_of_separate_values_gives_each_its_own(rng):
    x = rng.normal(2.0, 3.0, size=(200, 4))
    model = dv.DELVM(dv.networks.ffnn((3,), kernel_initializer="zeros"), normalization="zscore")
    model.adapt(x)  # f is constant, so E = Σ ½ z² + const
    detector = dv.AnomalyDetector(model, criterion="energy").fit(x)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    np.testing.assert_allclose(detector.explain(x).contributions, z**2 / 2, rtol=1e-4, atol=1e-5)


def test_they_are_the_integrals_of_gradients():
    """Against the trapezoidal rule with many points, in float64."""
    detector, x = fitted("energy")
    model, mean = detector.model_, x.mean(axis=0, dtype=np.float64)
    points = np.linspace(0, 1, 2001)
    for row in x[:3].astype(np.float64):
        way = tf.constant(mean + points[:, None] * (row - mean))
        with tf.GradientTape() as tape:
            tape.watch(way)
            energy = model.energy(way)
        integral = np.trapezoid(tape.gradient(energy, way), points, axis=0)
        found = detector.explain(row[None]).contributions[0]
        np.testing.assert_allclose(found, (row - mean) * integral, rtol=2e-3, atol=1e-3)


def test_whitened_values_are_mixed_so_gradients_are_integrated(rng):
    x = rng.normal(size=(60, 5)) @ rng.normal(size=(5, 5))
    model = dv.DELVM(dv.networks.ffnn((4,), activation="softplus", seed=0), normalization="zca")
    model.adapt(x)
    detector = dv.AnomalyDetector(model).fit(x)
    found = detector.explain(x[:4])
    total = found.contributions.sum(axis=1) + found.baseline
    np.testing.assert_allclose(total, detector.anomaly_score(x[:4]), rtol=1e-3, atol=1e-3)
    assert found.baseline.any()


@pytest.mark.parametrize("kind", EXPLAINED)
def test_they_are_served(kind, tmp_path):
    detector, x = fitted(kind)
    folder = dv.export_saved_model(detector, tmp_path, explain=True)
    found = dv.serving.load(folder).predict(x[:7], "explain")
    expected = detector.explain(x[:7])
    scale = np.abs(expected.contributions).max()
    np.testing.assert_allclose(
        found["contributions"], expected.contributions, rtol=1e-3, atol=1e-4 * scale
    )
    np.testing.assert_allclose(found["baseline"], expected.baseline, rtol=1e-4, atol=1e-4)
    assert ("reconstruction" in found) == (expected.expected is not None)


@pytest.mark.parametrize("kind", ["isolation forest"])
def test_scores_without_gradients_say_so(kind, tmp_path):
    detector, x = fitted(kind)
    with pytest.raises(NotExplainedError, match="has no gradient"):
        detector.explain(x)
    with pytest.raises(NotExplainedError, match="has no gradient"):
        dv.export_saved_model(detector, tmp_path, explain=True)
    foreign = dv.AnomalyDetector(LocalOutlierFactor(novelty=True).fit(x)).fit(x)
    with pytest.raises(NotExplainedError, match="LocalOutlierFactor has no gradient"):
        foreign.explain(x)
    model = detector.model_
    with pytest.raises(ValueError, match="explain needs a detector"):
        dv.export_saved_model(fitted("energy")[0].model_, tmp_path, explain=True)
    assert model is not None
    assert not list(tmp_path.iterdir())


def test_a_column_out_of_range_contributes_most(rng):
    x = rng.normal(size=(300, 6))
    model = dv.DELVM(dv.networks.ffnn((8,), seed=0), normalization="zscore")
    model.adapt(x)
    for criterion in ("energy", "reconstruction_error"):
        detector = dv.AnomalyDetector(model, criterion=criterion).fit(x)
        strange = x[:20].copy()
        strange[:, 3] += 12
        assert (detector.explain(strange).contributions.argmax(axis=1) == 3).all()


def test_detectors_explained_one_after_the_other_are_silent(caplog, rng):
    caplog.set_level(logging.WARNING, "tensorflow")
    x = rng.normal(size=(60, 3))
    for _ in range(6):
        simple = DistanceToMean().fit(x)
        dv.AnomalyDetector(simple, contamination=0.2, holdout=0).fit(x).explain(x[:2])
    assert "retracing" not in caplog.text
