import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score

import delvm_tf as dv
from delvm_tf.catalog import Detection
from delvm_tf.detection import ModelEnsemble, NeighbourDistance
from delvm_tf.detection.ensemble import ensemble_of


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


def test_a_detector_beside_the_models_is_one_more_score(rng, models):
    normal, x = rng.normal(size=(40, 3)), 2 * rng.normal(size=(20, 3))
    given = NeighbourDistance(2, leave_out=True)
    ensemble = ModelEnsemble(models, power=2.0, beside=given).fit(normal)

    def nearest(row, others):
        return np.mean(sorted(np.sqrt(np.square(row - other).sum()) for other in others)[:2])

    itself = [nearest(row, np.delete(normal, i, axis=0)) for i, row in enumerate(normal)]
    columns = [(model.energy(normal), model.energy(x)) for model in models]
    columns.append((np.array(itself), np.array([nearest(row, normal) for row in x])))
    for place, rows in enumerate((normal, x)):
        excess = [
            np.maximum(c[place] - np.min(c[0]), 0) / np.std(c[0], dtype=np.float64) for c in columns
        ]
        expected = np.mean(excess, axis=0) ** 2
        np.testing.assert_allclose(-ensemble.score_samples(rows), expected, rtol=1e-5, atol=1e-6)
    assert ensemble.floor_.shape == (4,)
    assert not hasattr(given, "kept_")  # a copy of it was fitted


def test_an_ensemble_saved_when_nothing_was_beside_it_scores_as_it_did(rng, models):
    normal = rng.normal(size=(50, 3))
    ensemble = ModelEnsemble(models).fit(normal)
    scores = ensemble.score_samples(normal)
    del vars(ensemble)["beside"], vars(ensemble)["beside_"]
    np.testing.assert_array_equal(ensemble.score_samples(normal), scores)
    assert ensemble.get_params()["beside"] is None


def test_a_recipe_may_put_neighbours_beside_its_models_of_rows_of_any_shape(rng):
    class Still:
        def energy(self, x):
            return np.asarray(x)[:, 0, 0]

    x, new = rng.normal(size=(30, 2, 3)), rng.normal(size=(6, 2, 3))
    detection = Detection(neighbours=2, principal=3, power=3.0)
    found = ensemble_of([Still()], "energy", detection).fit(x)
    near = NeighbourDistance(2, 3, leave_out=True).fit(x.reshape(30, 6))
    scores = [-near.score_samples(rows.reshape(-1, 6)) for rows in (x, new)]
    energies = [x[:, 0, 0], new[:, 0, 0]]
    excess = [np.maximum(b - a.min(), 0) / a.std() for a, b in (scores, energies)]
    np.testing.assert_allclose(-found.score_samples(new), np.mean(excess, axis=0) ** 3, rtol=1e-5)
    assert ensemble_of([Still()], "energy", Detection(power=2.0)).beside is None


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
