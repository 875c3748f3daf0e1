import numpy as np
import pytest
from scipy.linalg import sqrtm

from trainers.evaluation.generation.frechet import frechet_distance, gaussian_distance


def slow(a, b):
    """By the square root of the product itself."""
    S, T = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    apart = np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2)
    return apart + np.trace(S + T - 2 * sqrtm(S @ T).real)


def test_it_is_what_the_square_root_of_the_product_gives(rng):
    a = rng.normal(size=(300, 7)) @ rng.normal(size=(7, 7)) + rng.normal(size=7)
    b = rng.normal(size=(200, 7)) @ rng.normal(size=(7, 7))
    assert slow(a, b) > 5
    assert frechet_distance(a, b) == pytest.approx(slow(a, b), rel=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)


def test_gaussians_on_common_axes_are_as_far_apart_as_their_deviations(rng):
    """‖m − m′‖² + Σ (s − s′)²."""
    axes = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    s, t = rng.uniform(0.5, 3, (2, 5))
    m, n = rng.normal(size=(2, 5))
    distance = gaussian_distance(m, axes * s**2 @ axes.T, n, axes * t**2 @ axes.T)
    assert distance == pytest.approx(np.sum((m - n) ** 2) + np.sum((s - t) ** 2), rel=1e-10)


def test_equal_sets_are_not_apart_and_shifted_ones_by_the_square_of_the_shift(rng):
    x = rng.normal(size=(100, 6))
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-10)
    shift = np.arange(6.0)
    assert frechet_distance(x, x + shift) == pytest.approx(np.sum(shift**2), rel=1e-9)
    assert frechet_distance(x, 3 * x - 2 * x.mean(axis=0)) == pytest.approx(
        4 * np.trace(np.cov(x, rowvar=False)), rel=1e-9
    )


def test_constant_features_and_few_rows_do_no_harm(rng):
    x = rng.normal(size=(5, 9)).astype("float32")
    x[:, 3:6] = 2.0
    assert 0 <= frechet_distance(x, x) + 1e-6 < 2e-6
    collapsed = np.repeat(x[:1], 5, axis=0)
    spread = np.trace(np.cov(x, rowvar=False)) + np.sum((x.mean(axis=0) - x[0]) ** 2)
    assert frechet_distance(x, collapsed) == pytest.approx(spread, rel=1e-5)


def test_sets_of_one_distribution_are_apart_by_their_number(rng):
    d, n = 20, 1000
    found = [frechet_distance(*rng.normal(size=(2, n, d))) for _ in range(10)]
    assert np.mean(found) == pytest.approx((d**2 + 5 * d) / (2 * n), rel=0.05)


@pytest.mark.parametrize("shapes", [((5, 2), (5, 3)), ((1, 2), (5, 2)), ((5,), (5, 2))])
def test_wrong_tables_are_refused(shapes):
    with pytest.raises(ValueError, match="same columns and two rows"):
        frechet_distance(*map(np.zeros, shapes))
