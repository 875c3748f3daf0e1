"""The closed form against scikit-learn's ridge regression in float64."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainers.evaluation import ridge
from trainers.evaluation.ridge import RidgeProbe


@pytest.fixture
def table(rng):
    hidden = rng.normal(size=(700, 12))
    y = (hidden @ rng.normal(size=(12, 3)) + 3 * rng.normal(size=(700, 3))).argmax(axis=1)
    x = (hidden + 2) * np.geomspace(0.01, 100, 12)
    return x.astype("float32"), y


@pytest.fixture(autouse=True)
def in_several_pieces(monkeypatch):
    monkeypatch.setattr(ridge, "ROWS", 150)


@pytest.mark.parametrize("l2", [1e-3, 0.3, 10.0])
def test_weights_are_those_of_scikit_learn(table, l2):
    x, y = table
    probe = RidgeProbe(l2).fit(x[:500], y[:500])
    expected = make_pipeline(StandardScaler(), RidgeClassifier(alpha=500 * l2))
    expected.fit(x[:500].astype("float64"), y[:500])
    np.testing.assert_allclose(probe.weights_, expected[-1].coef_.T, atol=1e-4)
    np.testing.assert_allclose(probe.bias_, expected[-1].intercept_, atol=1e-4)
    assert probe.score(x[500:], y[500:]) == pytest.approx(expected.score(x[500:], y[500:]))
    assert 0.5 < probe.score(x[500:], y[500:]) < 0.95


def test_a_penalty_is_chosen_on_held_out_rows_and_solved_for_all(table):
    x, y = table
    chosen = RidgeProbe([1e-3, 1e6], seed=1).fit(x, y)
    assert chosen.l2_ == 1e-3
    np.testing.assert_allclose(
        chosen.weights_, RidgeProbe(1e-3).fit(x, y).weights_, rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("l2", [0.0, -1.0, np.nan, [], [0.1, np.inf]])
def test_bad_strengths_are_refused(l2):
    with pytest.raises(ValueError, match="one or more positive numbers"):
        RidgeProbe(l2)
