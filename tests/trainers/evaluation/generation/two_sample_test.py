import numpy as np
import pytest
from sklearn.datasets import load_digits

from trainers.evaluation.generation.two_sample import by_features, by_pixels, told_apart


def test_what_is_known_of_shifted_gaussians(rng):
    """The best classifier of N(0, 1) and N(δ, 1) is right with probability Φ(δ/2)."""
    n = 4000
    real, drawn = rng.normal(size=(2, n, 5))
    error = 0.35 / np.sqrt(n)
    assert abs(told_apart(real, drawn, by_features(), 0) - 0.5) < 3 * error
    drawn[:, 0] += 1.0
    assert told_apart(real, drawn, by_features(), 0) == pytest.approx(0.6915, abs=3 * error)
    assert told_apart(real, drawn + 100, by_features(), 0) == 1


def test_each_row_is_scored_by_what_was_not_trained_on_it(rng):
    seen = []

    def accuracy(x, y, x_test, y_test):
        seen.append((set(x[:, 0]), set(x_test[:, 0])))
        assert np.mean(y) == np.mean(y_test) == 0.5
        assert (x[y == 1] >= 100).all()
        assert (x_test[y_test == 0] < 100).all()
        return float(len(seen))

    real, drawn = np.arange(11.0)[:, None], 100 + np.arange(10.0)[:, None]
    assert told_apart(real, drawn, accuracy, 3) == 1.5
    (train, test), (train2, test2) = seen
    assert (train, test) == (test2, train2)
    assert not train & test
    assert len(train | test) == 20


def test_pixels_tell_a_texture_that_leaves_every_mean_as_it_is(rng):
    images = rng.permutation(load_digits().images.astype("float32")[..., None])
    real, drawn = images[:400], images[400:800].copy()
    alike = told_apart(real, drawn, by_pixels(40, 0), 0)
    assert alike < 0.62
    board = (np.indices((8, 8)).sum(axis=0) % 2 * 2 - 1)[..., None]
    signs = rng.choice([-1, 1], (400, 1, 1, 1))
    drawn += 1.5 * signs * board
    assert told_apart(real, drawn, by_pixels(40, 0), 0) > 0.9


def test_too_few_rows_are_refused(rng):
    with pytest.raises(ValueError, match="four rows of each set"):
        told_apart(np.zeros((9, 2)), np.zeros((3, 2)), by_features(), 0)
