import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import delvm_tf as dv
from delvm_tf.detection import NeighbourDistance, PrincipalGaussian, ScoreCombination
from delvm_tf.detection.baselines import DistanceToMean


class Column:
    """Scores by one value of an example."""

    def __init__(self, column):
        self.column = column

    def score_samples(self, X):
        return X[:, self.column]


def z_scores(scores, reference):
    return (scores - reference.mean(axis=0)) / reference.std(axis=0)


def combined(reference, scores, **arguments):
    """Minus the combination's score of columns that are scores themselves."""
    parts = [Column(k) for k in range(reference.shape[1])]
    return ScoreCombination(parts, prefit=True, **arguments).fit(reference).score_samples(scores)


def test_the_sum_is_of_z_scores(rng):
    reference = rng.normal(size=(100, 3)) * [1, 10, 0.1] + [0, 50, -3]
    scores = rng.normal(size=(5, 3))
    expected = z_scores(scores, reference).sum(axis=1)
    np.testing.assert_allclose(combined(reference, scores), expected)


def test_scale_and_offset_of_a_score_make_no_difference(rng):
    reference, scores = rng.normal(size=(50, 2)), rng.normal(size=(4, 2))
    stretched = [table * [1000, 1] + [7, 0] for table in (reference, scores)]
    np.testing.assert_allclose(combined(reference, scores), combined(*stretched))


def test_weights_multiply_the_z_scores(rng):
    reference, scores = rng.normal(size=(50, 2)), rng.normal(size=(4, 2))
    expected = z_scores(scores, reference) @ [2, -0.5]
    np.testing.assert_allclose(combined(reference, scores, weights=(2, -0.5)), expected)


def test_a_score_without_spread_is_left_out(rng):
    reference = np.stack([rng.normal(size=20), np.full(20, 3.0)], axis=1)
    scores = rng.normal(size=(4, 2))
    expected = z_scores(scores[:, :1], reference[:, :1])[:, 0]
    np.testing.assert_allclose(combined(reference, scores), expected)


def test_a_score_that_overflows_is_the_most_abnormal(rng):
    class Overflowing(Column):
        def score_samples(self, X):
            return np.where(X[:, 1] > 100, np.nan, X[:, self.column])

    reference = rng.normal(size=(20, 2))
    combination = ScoreCombination([Column(0), Overflowing(1)], prefit=True).fit(reference)
    scores = combination.score_samples([[1.0, 200.0], [0.0, 0.0]])
    assert np.isneginf(scores[0])
    assert np.isfinite(scores[1])


def test_each_detector_finds_its_half_and_the_sum_both(rng):
    x = rng.normal(size=(400, 2))
    first, second = (rng.normal(shift, size=(40, 2)) for shift in ([5, 0], [0, 5]))
    new = np.concatenate([x, -first, -second])
    labels = np.repeat([0, 1], [400, 80])
    combination = ScoreCombination([Column(0), Column(1)], prefit=True).fit(x)
    both = roc_auc_score(labels, -combination.score_samples(new))
    single = [roc_auc_score(labels, -new[:, k]) for k in (0, 1)]
    assert both > 0.97 > 0.85 > max(single)


def test_detectors_are_fitted_on_what_does_not_set_the_scale(rng):
    x = rng.normal(size=(100, 3))
    combination = ScoreCombination([NeighbourDistance(1), DistanceToMean()], holdout=0.2).fit(x)
    near = combination.detectors_[0]
    assert near.kept_.shape[0] == 80
    distances = -near.score_samples(x)
    held = distances > 1e-5  # the others are their own neighbours
    assert held.sum() == 20
    new = rng.normal(size=(6, 3))
    scores, reference = (
        np.stack([d.score_samples(rows) for d in combination.detectors_], axis=1)
        for rows in (new, x[held])
    )
    np.testing.assert_allclose(
        combination.score_samples(new), z_scores(scores, reference).sum(axis=1), rtol=1e-6
    )


def test_a_trained_models_scores_behind_a_threshold(rng):
    x = rng.normal(size=(60, 5)).astype("float32")
    model = dv.DELVM(dv.networks.ffnn(4))
    model.adapt(x)
    parts = [dv.AnomalyDetector(model, criterion=s) for s in ("energy", "reconstruction_error")]
    combination = ScoreCombination(parts, prefit=True)
    detector = dv.AnomalyDetector(combination, epochs=1, holdout=0).fit(x)
    scores = np.stack([model.energy(x), model.reconstruction_error(x)], axis=1)
    np.testing.assert_allclose(
        detector.anomaly_score(x), z_scores(scores, scores).sum(axis=1), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    ("combination", "message"),
    [
        (ScoreCombination([]), "one detector or more"),
        (ScoreCombination([object()]), "object has no score_samples; wrap a model"),
        (ScoreCombination([PrincipalGaussian()], weights=(1, 2)), "expected 1 finite weights"),
        (ScoreCombination([PrincipalGaussian()], holdout=0.0), "strictly between 0 and 1, got 0"),
        (ScoreCombination([PrincipalGaussian()], holdout=0.01), "both parts need two or more"),
    ],
)
def test_bad_combinations(combination, message, rng):
    with pytest.raises(ValueError, match=message):
        combination.fit(rng.normal(size=(20, 3)))


@pytest.mark.parametrize(
    ("reference", "message"),
    [(np.zeros((1, 2)), "minimum of 2 is required"), (np.ones((4, 2)), "no score varies")],
)
def test_bad_reference(reference, message):
    with pytest.raises(ValueError, match=message):
        combined(reference, reference)


@pytest.mark.parametrize("weights", [(1,), (1, 2, 3), (1, np.nan)])
def test_bad_weights(weights, rng):
    with pytest.raises(ValueError, match="expected 2 finite weights"):
        combined(rng.normal(size=(5, 2)), np.zeros((3, 2)), weights=weights)
