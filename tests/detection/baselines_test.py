import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score

from delvm_tf.detection import BASELINES, DistanceToMean, PCAResidual


@pytest.mark.parametrize("shape", [(5,), (4, 3, 2)])
def test_distance_to_mean_is_the_squared_distance_with_a_minus(rng, shape):
    train, test = rng.normal(size=(40, *shape)) + 2.0, rng.normal(size=(10, *shape))
    difference = (test - train.mean(axis=0)).reshape(10, -1)
    expected = [-(row @ row) for row in difference]
    np.testing.assert_allclose(DistanceToMean().fit(train).score_samples(test), expected)


def test_bytes_do_not_wrap_around():
    x = np.array([[0, 250], [250, 0]], dtype=np.uint8)
    np.testing.assert_allclose(DistanceToMean().fit(x).score_samples(x), [-31250.0, -31250.0])


@pytest.mark.parametrize("shape", [(20,), (5, 4, 1)])
@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_scores_vectors_and_images_higher_when_normal(rng, name, shape):
    x = rng.normal(size=(60, *shape)).astype(np.float32)
    far = rng.normal(size=(30, *shape)).astype(np.float32) * 4
    detector = BASELINES[name](0).fit(x)
    scores = np.concatenate([detector.score_samples(x), detector.score_samples(far)])
    assert scores.shape == (90,)
    assert roc_auc_score(np.repeat([1, 0], [60, 30]), scores) > 0.9


@pytest.mark.parametrize("name", BASELINES)
def test_a_seed_makes_every_baseline_reproducible(rng, name):
    x = rng.normal(size=(40, 20))
    first, again = (BASELINES[name](7).fit(x).score_samples(x) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_the_isolation_forest_depends_on_its_seed(rng):
    x = rng.normal(size=(40, 20))
    first, other = (BASELINES["isolation forest"](s).fit(x).score_samples(x) for s in (0, 1))
    assert not np.allclose(first, other)


@pytest.mark.parametrize("detector", [DistanceToMean(), PCAResidual(3)])
def test_scoring_comes_after_fitting(rng, detector):
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        clone(detector).score_samples(rng.normal(size=(5, 4)))
