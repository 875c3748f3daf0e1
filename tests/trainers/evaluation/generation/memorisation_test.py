import numpy as np
import pytest
from scipy import stats

from trainers.evaluation.generation.memorisation import QUANTILES, memorisation, two_nearest


@pytest.fixture
def sets(rng):
    """Training rows, real rows beside them, and others of the same distribution."""
    return rng.normal(size=(1000, 4)), rng.normal(size=(2000, 4)), rng.normal(size=(2000, 4))


def measured(train, real, drawn):
    return memorisation(two_nearest(drawn, train), two_nearest(real, train))


def test_rows_of_the_same_distribution_are_as_near_as_real_ones(sets):
    train, real, drawn = sets
    found = measured(train, real, drawn)
    for share, quantile in zip(found.nearer, QUANTILES, strict=True):
        error = np.sqrt(2 * quantile * (1 - quantile) / 2000)
        assert abs(share - quantile) < 3 * error
    assert found.copies == pytest.approx((1 / 3) ** 4, abs=0.01)  # d₁/d₂ of a smooth density
    assert found.p_value > 0.01


def test_noisy_copies_are_called_copies_and_are_nearer_than_all_real_rows(sets, rng):
    train, real, _ = sets
    found = measured(train, real, train + 1e-3 * rng.normal(size=train.shape))
    assert min(found.nearer) > 0.99
    assert found.copies > 0.99
    assert found.statistic > 0.98
    assert found.p_value < 1e-100
    exact = measured(train, real, train)
    assert (exact.nearer, exact.copies) == ((1, 1, 1), 1)


def test_a_set_of_copies_in_part_is_found_by_its_part(sets):
    train, real, drawn = sets
    mixed = np.concatenate([train[:600], drawn[:1400]])
    found = measured(train, real, mixed)
    assert found.nearer[0] == pytest.approx(0.3 + 0.7 * 0.01, abs=0.01)
    assert found.copies == pytest.approx(0.3, abs=0.02)


def test_rows_in_the_middle_are_nearer_without_being_copies(sets):
    train, real, drawn = sets
    found = measured(train, real, 0.5 * drawn)
    assert found.nearer[2] > 0.8
    assert found.copies < 0.05
    assert found.p_value < 1e-6


def test_rows_far_from_the_data_are_not_nearer(sets):
    train, real, drawn = sets
    found = measured(train, real, drawn + 10)
    assert found.nearer == (0, 0, 0)
    assert found.copies == 0
    assert found.p_value == 1


def test_the_statistic_is_that_of_the_two_distribution_functions(sets):
    train, real, drawn = sets
    near = two_nearest(0.7 * drawn, train)
    usual = two_nearest(real, train)
    at = np.sort(np.concatenate([near.distances[:, 0], usual.distances[:, 0]]))
    above = [
        np.mean(near.distances[:, 0] <= t) - np.mean(usual.distances[:, 0] <= t) for t in at[::20]
    ]
    found = memorisation(near, usual)
    assert found.statistic == pytest.approx(max(above), abs=0.01)
    two_sided = stats.ks_2samp(near.distances[:, 0], usual.distances[:, 0])
    assert found.statistic == pytest.approx(two_sided.statistic)


def test_training_rows_themselves_are_compared_with_the_others(sets):
    train, real, _ = sets
    found = memorisation(two_nearest(train, train, np.arange(1000)), two_nearest(real, train))
    assert found.copies < 0.05
    assert found.p_value > 0.01
