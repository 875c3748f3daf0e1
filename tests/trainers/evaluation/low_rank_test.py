"""A read-out of low rank finds what depends on places and codes together."""

import numpy as np
import pytest

from trainers.evaluation.low_rank import LowRankProbe


@pytest.fixture
def table(rng):
    """Classes by the difference of one direction of codes between two of three places."""
    codes = rng.normal(size=(600, 3, 5)) * np.array([0.1, 1, 10, 1, 1]) + 4
    direction = np.array([10, 1, 0.1, -1, 0])
    y = ((codes[:, 0] - codes[:, 2]) @ direction > 0).astype(int)
    return codes.reshape(600, 15).astype("float32"), y


def test_rank_one_is_enough_for_one_direction(table):
    X, y = table
    probe = LowRankProbe(codes=5, rank=1, l2=1e-4, epochs=150, rate=0.03).fit(X[:400], y[:400])
    assert probe.score(X[400:], y[400:]) > 0.93
    assert probe.l2_ == 1e-4


def test_it_is_linear_in_standardised_codes(table, rng):
    X, y = table
    probe = LowRankProbe(codes=5, rank=2, l2=1e-3, epochs=5).fit(X, y)
    logits = [np.asarray(probe.model_(x)) for x in (X[:9], X[9:18], X[:9] / 4 + 3 * X[9:18] / 4)]
    np.testing.assert_allclose(logits[0] / 4 + 3 * logits[1] / 4, logits[2], atol=1e-4)
    codes = X.reshape(-1, 5)
    first = np.asarray(probe.model_.trainable_variables[0])
    assert first.shape == (5, 2)
    z = (codes - codes.mean(axis=0)) / codes.std(axis=0)
    places = (z @ first).reshape(600, 6)
    kernel, bias = (np.asarray(w) for w in probe.model_.layers[-1].weights)
    np.testing.assert_allclose(probe.model_(X), places @ kernel + bias, atol=1e-3, rtol=1e-3)


def test_a_penalty_shrinks_it(table):
    X, y = table
    weak, strong = (
        np.std(LowRankProbe(5, 2, l2, 60, 0.03).fit(X, y).model_(X)) for l2 in (1e-4, 1.0)
    )
    assert strong < 0.1 * weak


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"rank": 0}, "rank must be a positive integer"), ({"l2": -1.0}, "must be finite"),
     ({"rate": np.nan}, "must be finite")],
)  # fmt: skip
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        LowRankProbe(5, **settings)


def test_features_must_be_places_of_codes(table):
    X, y = table
    with pytest.raises(ValueError, match="15 features are not places of 4 codes"):
        LowRankProbe(codes=4).fit(X, y)
