import numpy as np
import pytest

from trainers.evaluation.generation.coverage import coverage


def slow(real, drawn, k):
    def share(x, manifold):
        radii = [np.sort(np.linalg.norm(manifold - row, axis=1))[k] for row in manifold]
        inside = [
            any(np.linalg.norm(x_ - row) <= r for row, r in zip(manifold, radii, strict=True))
            for x_ in x
        ]
        return np.mean(inside)

    return share(drawn, real), share(real, drawn)


def test_it_is_what_comparing_all_with_all_gives(rng):
    real, drawn = rng.normal(size=(60, 3)), 0.7 * rng.normal(size=(50, 3)) + 1.0
    found = coverage(real, drawn, k=3)
    assert 0.1 < found.recall < found.precision < 0.95
    np.testing.assert_allclose(found, slow(real, drawn, 3))


def test_equal_sets_cover_each_other_and_far_ones_do_not(rng):
    x = rng.normal(size=(1200, 4))
    assert coverage(x, x) == (1, 1)
    assert coverage(x, x + 100) == (0, 0)


def test_a_part_of_the_modes_is_precise_and_recalls_that_part(rng):
    x = rng.normal(size=(600, 2)) + np.repeat([[0, 0], [50, 0], [0, 50]], 200, axis=0)
    one = x[:200] + 0.01 * rng.normal(size=(200, 2))
    found = coverage(x, one)
    assert found.precision > 0.97
    assert found.recall == pytest.approx(1 / 3, abs=0.02)


def test_a_collapsed_set_has_precision_and_no_recall(rng):
    x = rng.normal(size=(300, 4))
    found = coverage(x, np.repeat(x[:1], 300, axis=0))
    assert found.precision == 1
    assert found.recall <= 1 / 300


def test_too_few_rows_are_refused(rng):
    with pytest.raises(ValueError, match="need 6 rows"):
        coverage(rng.normal(size=(5, 2)), rng.normal(size=(10, 2)))
