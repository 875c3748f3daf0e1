import numpy as np
import pytest

from trainers.evaluation.generation.neighbours import nearest


def slow(x, among):
    """Distances to all, in order."""
    differences = x[:, None].astype(float) - among[None]
    return np.linalg.norm(differences.reshape(len(x), len(among), -1), axis=2)


def test_they_are_those_of_all_distances(rng):
    x, among = rng.normal(size=(20, 3, 3, 1)), rng.normal(size=(50, 3, 3, 1)) + 100
    found = nearest(x, among, 4)
    every = slow(np.float32(x), np.float32(among))
    np.testing.assert_array_equal(found.rows, np.argsort(every, axis=1)[:, :4])
    np.testing.assert_allclose(found.distances, np.sort(every, axis=1)[:, :4], rtol=1e-6)


def test_rows_of_the_set_itself_are_left_out(rng):
    among = rng.normal(size=(40, 5)).astype("float32")
    own = np.array([3, 0, 39])
    every = slow(among[own], among)
    every[np.arange(3), own] = np.inf
    found = nearest(among[own], among, 2, own)
    np.testing.assert_array_equal(found.rows, np.argsort(every, axis=1)[:, :2])
    np.testing.assert_allclose(found.distances, np.sort(every, axis=1)[:, :2], rtol=1e-6)


def test_copies_are_at_no_distance_and_another_copy_is_not_the_row_itself():
    among = np.float32([[1000.1, 2], [1000.1, 2], [5, 5], [7, 7]])
    assert nearest(among[:1], among, 1).distances == 0
    twin = nearest(among[:1], among, 2, np.array([0]))
    assert twin.rows[0, 0] == 1
    assert twin.distances[0, 0] == 0
    many = np.repeat(among[:1], 30, axis=0)
    assert not nearest(many, many, 3, np.arange(30)).distances.any()


def test_too_small_a_set_is_refused(rng):
    x = rng.normal(size=(3, 2))
    nearest(x, x, 3)
    with pytest.raises(ValueError, match="need 4 rows"):
        nearest(x, x, 3, np.arange(3))
