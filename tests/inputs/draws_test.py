"""Random numbers of rows."""

import numpy as np

from delvm_tf.inputs.draws import draws


def test_a_row_has_its_number_however_rows_are_parted():
    whole = draws(0, 1000, seed=3)
    parts = [draws(start, 7, seed=3) for start in range(0, 994, 7)]
    np.testing.assert_array_equal(np.concatenate(parts), whole[:994])
    np.testing.assert_array_equal(draws(10, 1, 3), whole[10:11])


def test_they_are_uniform_and_independent_of_each_other_and_of_seeds():
    found = draws(0, 100_000, seed=0)
    assert found.min() >= 0
    assert found.max() < 1
    np.testing.assert_allclose(np.histogram(found, 10, (0, 1))[0], 10_000, rtol=0.05)
    others = draws(0, 100_000, seed=1)
    assert abs(np.corrcoef(found, others)[0, 1]) < 0.02
    assert abs(np.corrcoef(found[1:], found[:-1])[0, 1]) < 0.02
    assert draws(5, 1, -1) != draws(5, 1, 0)


def test_they_stay_the_same_in_later_versions():
    """SplitMix64, so that detectors of one seed hold out the same rows."""
    np.testing.assert_allclose(draws(0, 2, seed=0), DRAWN, rtol=1e-15)


DRAWN = [0.6524484863740322, 0.7012121095215252]
