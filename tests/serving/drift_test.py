import math

import numpy as np
import pytest

from delvm_tf.serving.drift import DriftMonitor, ScoreHistogram


def test_the_histogram_has_equal_shares():
    histogram = ScoreHistogram.of(np.arange(1000.0))
    assert histogram.rows == 1000
    assert len(histogram.edges) == 9
    np.testing.assert_allclose(histogram.fractions, 0.1, atol=0.001)
    assert ScoreHistogram.of([1.0] * 9 + [2.0]).edges[0] == 1.0  # ties share a bin


def test_the_index_is_the_symmetric_divergence_of_the_shares():
    monitor = DriftMonitor(ScoreHistogram((0.0,), (0.75, 0.25), 400))
    monitor.update([-1.0] * 50 + [1.0] * 150)
    p = np.array([300.5, 100.5]) / 401
    q = np.array([50.5, 150.5]) / 201
    expected = np.sum(q * np.log(q / p)) + np.sum(p * np.log(p / q))
    assert monitor.index == pytest.approx(expected, rel=1e-12)
    assert monitor.verdict == "drifted"


def test_parts_count_like_the_whole(rng):
    scores = rng.normal(size=300)
    histogram = ScoreHistogram.of(rng.normal(size=500))
    whole, parts = DriftMonitor(histogram), DriftMonitor(histogram)
    whole.update(scores)
    for part in np.split(scores, [10, 120]):
        parts.update(part)
    assert parts.index == whole.index
    assert parts.rows == 300


def test_without_drift_the_index_is_what_chance_gives(rng):
    """Its mean over many samples is (bins − 1)(1/n + 1/m)."""
    indices = []
    for _ in range(400):
        monitor = DriftMonitor(ScoreHistogram.of(rng.gamma(2.0, size=2000)))
        monitor.update(rng.gamma(2.0, size=3000))
        indices.append(monitor.index)
    error = np.std(indices) / math.sqrt(len(indices))
    assert abs(np.mean(indices) - monitor.expected_index) < 4 * error
    assert monitor.verdict == "stable"


def test_a_shift_of_the_scores_is_seen(rng):
    histogram = ScoreHistogram.of(rng.normal(size=3000))
    verdicts = []
    for shift in (0.0, 0.4, 1.0):
        monitor = DriftMonitor(histogram)
        monitor.update(rng.normal(shift, size=3000))
        verdicts.append(monitor.verdict)
    assert verdicts == ["stable", "shifted", "drifted"]


def test_few_scores_give_no_verdict(rng):
    monitor = DriftMonitor(ScoreHistogram.of(rng.normal(size=3000)))
    assert math.isnan(monitor.index)
    assert monitor.verdict == "too few"
    monitor.update(rng.normal(size=50))
    assert monitor.verdict == "too few"


def test_scores_that_overflowed_count_among_the_highest():
    monitor = DriftMonitor(ScoreHistogram.of(np.arange(100.0)))
    monitor.update([50.0, math.inf, math.nan, -math.inf])
    assert monitor.counts[-1] == 3
    assert monitor.rows == 4


@pytest.mark.parametrize("scores", [[[1.0, 2.0]], 1.0])
def test_what_is_no_list_of_scores_is_refused(scores):
    monitor = DriftMonitor(ScoreHistogram.of([1.0, 2.0, 3.0]))
    with pytest.raises(ValueError, match=r"expected finite scores \(n,\)"):
        monitor.update(scores)
    assert monitor.rows == 0


@pytest.mark.parametrize("scores", [[1.0, math.nan], [1.0, math.inf]])
def test_a_reference_must_be_finite(scores):
    with pytest.raises(ValueError, match=r"expected finite scores \(n,\)"):
        ScoreHistogram.of(scores)


@pytest.mark.parametrize(
    "value",
    [
        None, {}, {"edges": [1], "fractions": [0.5, 0.4], "rows": 9},
        {"edges": [2, 1], "fractions": [0.2, 0.3, 0.5], "rows": 9},
        {"edges": [1], "fractions": [1.0], "rows": 9},
        {"edges": ["a"], "fractions": [0.5, 0.5], "rows": 9},
    ],
)  # fmt: skip
def test_what_is_no_histogram_is_refused(value):
    with pytest.raises(ValueError, match=r"expected edges|do not make a histogram"):
        ScoreHistogram.from_json(value)


def test_what_is_no_score_is_refused():
    monitor = DriftMonitor(ScoreHistogram.of(np.arange(100.0)))
    with pytest.raises(ValueError, match="6 masked values"):
        monitor.update(np.ma.masked_greater(np.arange(10.0), 3))
    assert monitor.rows == 0
    with pytest.raises(TypeError, match=r"must be a ScoreHistogram, got None; .* card\.scores"):
        DriftMonitor(None)
