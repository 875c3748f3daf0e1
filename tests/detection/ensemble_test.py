import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score

import delvm_tf as dv
from delvm_tf.detection import ModelEnsemble


class Linear:
    """Energy aᵀx + c and error ‖x‖², without training."""

    def __init__(self, weights, constant=0.0):
        self.weights, self.constant = np.asarray(weights), constant

    def energy(self, x):
        return x @ self.weights + self.constant

    def reconstruction_error(self, x):
        return np.square(x).sum(axis=1)


class ErrorOnly:
    def reconstruction_error(self, x):
        return np.square(x).sum(axis=1)


@pytest.fixture
def models(rng):
    return [Linear(rng.normal(size=3), constant) for constant in (-7.0, 0.0, 100.0)]


def test_the_score_is_the_power_of_the_mean_standardised_excess(rng, models):
    normal, x = rng.normal(size=(50, 3)), 2 * rng.normal(size=(20, 3))
    scores = ("energy", "reconstruction_error")
    ensemble = ModelEnsemble(models, scores, power=3.0).fit(normal)
    expected = np.zeros(20)
    for model in models:
        for score in scores:
            reference, values = getattr(model, score)(normal), getattr(model, score)(x)
            for i in range(20):
                expected[i] += (max(values[i] - min(reference), 0) / np.std(reference)) / 6
    np.testing.assert_allclose(-ensemble.score_samples(x), expected**3, rtol=1e-10)


def test_units_and_constants_of_an_energy_do_not_matter(rng, models):
    normal, x = rng.normal(size=(50, 3)), rng.normal(size=(20, 3))
    changed = [Linear(5 * model.weights, 3 - model.constant) for model in models]
    np.testing.assert_allclose(
        ModelEnsemble(models, power=2.0).fit(normal).score_samples(x),
        ModelEnsemble(changed, power=2.0).fit(normal).score_samples(x),
        rtol=1e-9,
    )


def test_a_power_keeps_the_ranking_and_moves_mean_and_deviation_outwards(rng, models):
    normal, x = rng.normal(size=(2000, 3)), 3 * rng.normal(size=(200, 3))
    plain = ModelEnsemble(models).fit(normal).score_samples(x)
    shares = []
    for power in (1.0, 2.0, 3.0):
        ensemble = ModelEnsemble(models, power=power).fit(normal)
        scores = ensemble.score_samples(x)
        assert np.all(np.diff(scores[np.argsort(plain)]) >= 0)
        detector = dv.AnomalyDetector(ensemble, threshold="mean_std").fit(normal)
        shares.append(np.mean(detector.is_anomaly(normal)))
    assert shares[0] > shares[1] > shares[2] > 0


def test_averaging_noisy_models_ranks_better_than_one():
    class Noisy:
        def __init__(self, seed):
            self.rng = np.random.default_rng(seed)

        def energy(self, x):
            return x[:, 0] + self.rng.normal(size=len(x))

    rng = np.random.default_rng(0)
    normal, x = rng.normal(size=(500, 1)), rng.normal(size=(1000, 1))
    y = np.repeat([0, 1], 500)
    x = x + 2 * y[:, None]
    aurocs = [
        roc_auc_score(y, -ModelEnsemble([Noisy(s) for s in range(m)]).fit(normal).score_samples(x))
        for m in (1, 20)
    ]
    assert aurocs[1] > aurocs[0] + 0.03


def test_trained_models_of_this_library(rng):
    x = rng.normal(size=(60, 6)).astype(np.float32)
    models = []
    for seed in (0, 1):
        model = dv.DELVM(dv.networks.ffnn((5,), seed=seed), scale=2.0)
        model.adapt(x)
        models.append(model)
    ensemble = ModelEnsemble(models, power=2.0).fit(x)
    detector = dv.AnomalyDetector(ensemble).fit(x)
    far = detector.anomaly_score(10 * x)
    assert np.median(far) > detector.threshold_
    with pytest.raises(NotFittedError):
        ModelEnsemble(models).score_samples(x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"models": []}, "one model and one score"),
        ({"scores": ()}, "one model and one score"),
        ({"scores": "energy"}, "sequence of names"),
        ({"scores": ("loss",)}, "unknown score 'loss'"),
        ({"power": 0.0}, "power must be positive"),
        ({"power": np.nan}, "power must be positive"),
        ({"models": [ErrorOnly()]}, "ErrorOnly has no energy"),
        ({"models": [Linear([0.0, 0.0, 0.0])]}, "the same for all normal examples"),
        ({"models": [Linear([np.nan, 0.0, 0.0])]}, "NaN or infinite"),
    ],
)
def test_mistakes_are_named(rng, models, arguments, message):
    with pytest.raises(ValueError, match=message):
        ModelEnsemble(**{"models": models, **arguments}).fit(rng.normal(size=(10, 3)))


def test_one_example_has_no_spread(models):
    with pytest.raises(ValueError, match="a minimum of 2 is required by ModelEnsemble"):
        ModelEnsemble(models).fit(np.ones((1, 3)))
