import numpy as np

from delvm_tf.detection.levels.evidence import Evidence


def test_evidence_is_minus_the_logarithm_of_the_share_that_reaches_a_score(rng):
    scores = rng.normal(size=(200, 2))
    found = Evidence(scores)(scores[:5]).numpy()
    spread = np.quantile(scores, 0.95, axis=0) - np.quantile(scores, 0.05, axis=0)
    t = (scores[:5] - np.median(scores, axis=0)) / spread
    reach = (scores[None] >= scores[:5, None]).sum(axis=1)
    expected = -np.log((1 + reach) / 201) + 0.1 * np.sign(t) * np.log1p(np.abs(t))
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_rounding_moves_little(rng):
    scores = rng.normal(size=(60, 1))
    evidence = Evidence(scores)
    moved = evidence(scores * (1 + 1e-6)).numpy() - evidence(scores).numpy()
    assert np.abs(moved).max() < 1e-3


def test_evidence_rises_with_the_score_beyond_all_rows_too(rng):
    scores = rng.normal(size=(500, 1))
    grid = np.linspace(-5, 1e6, 2000)[:, None]
    found = Evidence(scores)(grid).numpy()[:, 0]
    assert (np.diff(found) > 0).all()


def test_a_single_wild_score_counts_little(rng):
    scores = rng.normal(size=(1000, 1))
    wild = Evidence(scores)(np.array([[1e30]])).numpy()
    assert wild < np.log(1001) + 0.1 * np.log(1e31)


def test_scores_that_are_close_are_one(rng):
    scores = rng.normal(size=(20_000, 1))
    found = Evidence(scores).tails(scores).numpy()[:, 0]
    reach = len(scores) - np.argsort(np.argsort(scores[:, 0]))
    some = reach > 20
    np.testing.assert_allclose(found[some], -np.log((1 + reach[some]) / 20_001), atol=0.1)


def test_equal_scores_have_no_spread_and_no_error():
    found = Evidence(np.ones((20, 1)))(np.array([[1.0], [2.0], [0.0]])).numpy()[:, 0]
    assert np.isfinite(found).all()
    assert found[2] <= found[0] < found[1]
