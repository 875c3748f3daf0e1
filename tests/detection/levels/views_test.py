import numpy as np
import pytest
from scipy import stats

from delvm_tf.detection.levels.views import ColumnViews


@pytest.fixture
def table(rng):
    return np.column_stack(
        [
            rng.normal(5, 2, 400),
            rng.integers(0, 3, 400),
            np.full(400, 7.0),
            rng.standard_t(2, 400),
            rng.random(400) < 0.3,
        ]
    )


def test_sizes_are_z_scores_and_constant_columns_stay_in_units(table):
    x = table[:5] + 1
    varies = [0, 1, 3, 4]
    expected = x - table.mean(axis=0)
    expected[:, varies] /= table.std(axis=0)[varies]
    np.testing.assert_allclose(ColumnViews(table)(x)["sizes"], expected, rtol=1e-5, atol=1e-6)


def test_noises_divide_by_a_noise_from_the_kurtosis(table):
    views = ColumnViews(table)
    kurtosis = stats.kurtosis(table[:, [0, 1, 3]], axis=0, fisher=False)
    np.testing.assert_allclose(
        views.noise[[0, 1, 3]], np.clip(1 + 0.33 * (kurtosis - 3), 0.2, 6), rtol=1e-6
    )
    np.testing.assert_array_equal(views.noise[[2, 4]], 1)  # columns of one and two values
    found = views(table)
    np.testing.assert_allclose(found["noises"], found["sizes"] / views.noise, rtol=1e-5)


def test_ranks_are_normal_quantiles_of_mid_ranks(table):
    ranks = ColumnViews(table)(table)["ranks"].numpy()
    for column in (0, 1, 3):
        expected = stats.norm.ppf((stats.rankdata(table[:, column]) - 0.5) / len(table))
        np.testing.assert_allclose(ranks[:, column], np.clip(expected, -3, 3), atol=1e-5)


def test_ranks_of_many_values_are_thinned_closely(rng):
    x = rng.lognormal(size=(20_000, 1))
    ranks = ColumnViews(x)(x)["ranks"].numpy()[:, 0]
    expected = np.clip(stats.norm.ppf((stats.rankdata(x) - 0.5) / len(x)), -3, 3)
    assert np.abs(ranks - expected).max() < 0.02


def test_ranks_go_on_by_standard_deviations_beyond_the_training_values(table):
    views, column = ColumnViews(table), table[:, 0]
    top, bottom = table[column.argmax()][None].copy(), table[column.argmin()][None].copy()
    edges = views(np.concatenate([top, bottom]))["ranks"].numpy()[:, 0]
    top[:, 0] += 2 * column.std()
    bottom[:, 0] -= 3 * column.std()
    beyond = views(np.concatenate([top, bottom]))["ranks"].numpy()[:, 0]
    np.testing.assert_allclose(beyond - edges, [2, -3], rtol=1e-5)


def test_surprise_is_minus_the_logarithm_of_the_share(table):
    views = ColumnViews(table)
    np.testing.assert_array_equal(views.counted, [1, 2, 4])
    x = table[:3].copy()
    x[:, 1] = [0, 2, 9]
    surprise = views(x)["ranks"].numpy()[:, 5]
    shares = [np.mean(table[:, 1] == 0), np.mean(table[:, 1] == 2), 0.5 / len(table)]
    each = -np.log([np.mean(table[:, 1] == value) for value in table[:, 1]])
    expected = (-np.log(shares) - each.mean()) / max(each.std(), 0.3)
    np.testing.assert_allclose(surprise, expected, rtol=1e-5)


def test_values_that_float32_rounds_are_known(rng):
    x = rng.choice([0.1, 1 / 3, 1e9 + 0.5], size=(300, 1))
    views = ColumnViews(x)
    exact, rounded = views(x)["ranks"].numpy(), views(x.astype("float32"))["ranks"].numpy()
    np.testing.assert_allclose(exact[:, 1], rounded[:, 1], rtol=1e-6)


def test_nothing_goes_beyond_fifty(table):
    for space in ColumnViews(table)(table * 1e9).values():
        assert np.abs(space).max() == 50
