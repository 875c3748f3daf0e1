import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import delvm_tf as dv
from delvm_tf.detection import NeighbourDistance, PrincipalGaussian, ScoreCombination
from delvm_tf.detection.baselines import DistanceToMean
from delvm_tf.detection.combination import standardized_sum


class Column:
    """Scores by one value of an example."""

    def __init__(self, column):
        self.column = column

    def score_samples(self, X):
        return X[:, self.column]


def test_the_sum_is_of_z_scores(rng):
    reference = rng.normal(size=(100, 3)) * [1, 10, 0.1] + [0, 50, -3]
    scores = rng.normal(size=(5, 3))
    expected = ((scores - reference.mean(axis=0)) / reference.std(axis=0)).sum(axis=1)
    np.testing.assert_allclose(standardized_sum(scores, reference), expected)


def test_scale_and_offset_of_a_score_make_no_difference(rng):
    reference, scores = rng.normal(size=(50, 2)), rng.normal(size=(4, 2))
    stretched = [table * [1000, 1] + [7, 0] for table in (scores, reference)]
    np.testing.assert_allclose(standardized_sum(scores, reference), standardized_sum(*stretched))


def test_weights_multiply_the_z_scores(rng):
    reference, scores = rng.normal(size=(50, 2)), rng.normal(size=(4, 2))
    single = [standardized_sum(scores[:, [k]], reference[:, [k]]) for k in (0, 1)]
    np.testing.assert_allclose(
        standardized_sum(scores, reference, weights=(2, -0.5)), 2 * single[0] - 0.5 * single[1]
    )
    combination = ScoreCombination([Column(0), Column(1)], prefit=True, weights=(2, -0.5))
    np.testing.assert_allclose(
        combination.fit(reference).score_samples(scores),
        standardized_sum(scores, reference, weights=(2, -0.5)),
    )


def test_a_score_without_spread_is_left_out(rng):
    reference = np.stack([rng.normal(size=20), np.full(20, 3.0)], axis=1)
    scores = rng.normal(size=(4, 2))
    np.testing.assert_allclose(
        standardized_sum(scores, reference), standardized_sum(scores[:, :1], reference[:, :1])
    )


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
    assert combination.reference_.shape == (20, 2)
    near = combination.detectors_[0].neighbours_
    assert near.n_samples_fit_ == 80
    assert (combination.reference_[:, 0] < 0).all()  # none is its own neighbour
    new = rng.normal(size=(6, 3))
    scores = np.stack([d.score_samples(new) for d in combination.detectors_], axis=1)
    np.testing.assert_allclose(
        combination.score_samples(new), standardized_sum(scores, combination.reference_)
    )


def test_a_trained_models_scores_behind_a_threshold(rng):
    x = rng.normal(size=(60, 5)).astype("float32")
    model = dv.DELVM(dv.networks.ffnn(4))
    model.adapt(x)
    parts = [dv.AnomalyDetector(model, criterion=s) for s in ("energy", "reconstruction_error")]
    combination = ScoreCombination(parts, prefit=True)
    detector = dv.AnomalyDetector(combination, epochs=1).fit(x)
    scores = np.stack([model.energy(x), model.reconstruction_error(x)], axis=1)
    np.testing.assert_allclose(
        detector.anomaly_score(x), standardized_sum(scores, scores), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    ("combination", "message"),
    [
        (ScoreCombination([]), "one detector or more"),
        (ScoreCombination([object()]), "object has no score_samples; wrap a model"),
        (ScoreCombination([PrincipalGaussian()], weights=(1, 2)), "got 2 weights for 1 detectors"),
        (ScoreCombination([PrincipalGaussian()], holdout=0.0), "strictly between 0 and 1, got 0"),
        (ScoreCombination([PrincipalGaussian()], holdout=0.01), "both parts need two or more"),
    ],
)
def test_bad_combinations(combination, message, rng):
    with pytest.raises(ValueError, match=message):
        combination.fit(rng.normal(size=(20, 3)))


@pytest.mark.parametrize(
    ("scores", "reference", "message"),
    [
        (np.zeros((2, 3)), np.zeros((4, 2)), r"got \(2, 3\) and \(4, 2\)"),
        (np.zeros((2, 3)), np.zeros((1, 3)), "two or more rows, got 1"),
        (np.zeros((2, 3)), np.ones((4, 3)), "no score varies"),
    ],
)
def test_bad_scores(scores, reference, message):
    with pytest.raises(ValueError, match=message):
        standardized_sum(scores, reference)


@pytest.mark.parametrize("weights", [(1,), (1, 2, 3), (1, np.nan)])
def test_bad_weights(weights, rng):
    with pytest.raises(ValueError, match="expected 2 finite weights"):
        standardized_sum(np.zeros((3, 2)), rng.normal(size=(5, 2)), weights)
