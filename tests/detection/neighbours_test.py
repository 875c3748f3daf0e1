import numpy as np
import pytest
import tensorflow as tf

from delvm_tf.detection import NeighbourDistance, neighbours


def test_neighbour_distance_is_the_mean_of_the_smallest_distances(rng):
    x, new = rng.normal(size=(30, 6)), rng.normal(size=(7, 6))
    distances = np.sort(np.linalg.norm(new[:, None] - x[None], axis=2), axis=1)
    scores = NeighbourDistance(3).fit(x).score_samples(new)
    np.testing.assert_allclose(scores, -distances[:, :3].mean(axis=1), rtol=1e-6)


def test_neighbour_distance_in_principal_components_drops_the_other_directions(rng):
    x = rng.normal(size=(200, 5)) * [5, 4, 1e-4, 1e-4, 1e-4]
    new = rng.normal(size=(10, 5)) * [5, 4, 100, 0, 0]
    whole = NeighbourDistance(2).fit(x).score_samples(new)
    plane = NeighbourDistance(2, n_components=2).fit(x).score_samples(new)
    expected = NeighbourDistance(2).fit(x[:, :2]).score_samples(new[:, :2])
    np.testing.assert_allclose(plane, expected, atol=1e-2)
    assert np.all(whole < plane - 1e-3)


@pytest.mark.parametrize("k", [1, 5, 100])
def test_blocks_of_kept_rows_make_no_difference(rng, monkeypatch, k):
    x, new = rng.normal(size=(30, 4)), rng.normal(size=(9, 4))
    whole = NeighbourDistance(k).fit(x).score_samples(new)
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    np.testing.assert_allclose(NeighbourDistance(k).fit(x).score_samples(new), whole, rtol=1e-12)


def test_a_great_offset_and_clusters_that_are_close_make_no_difference(rng):
    x = rng.normal(size=(200, 3)) * 1e-3 + np.repeat([[0.0, 0, 0], [1, 1, 1]], 100, axis=0)
    new = x[:20] + 1e-3 * rng.normal(size=(20, 3))
    distances = np.sort(np.linalg.norm(new[:, None] - x[None], axis=2), axis=1)
    for offset in (0.0, 1e6):
        scores = NeighbourDistance(3).fit(x + offset).score_samples(new + offset)
        np.testing.assert_allclose(scores, -distances[:, :3].mean(axis=1), rtol=2e-4)


def test_components_are_those_of_centred_rows_in_the_type_of_images_too(rng):
    x = (rng.normal(size=(100_000, 4)) * [4, 3, 2, 1]).astype(np.float32)
    x = np.round(x * 64) / 64 + np.float32(4096)  # exact in float32
    few = [NeighbourDistance(3, n_components=2).fit(x.astype(kind)) for kind in ("f4", "f8")]
    scores = [each.score_samples(x[:50] + 1) for each in few]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-3)


def without_itself(x, k, components=None):
    """Distances of rows to their k nearest others, slowly: each misses the place it has itself."""
    z = x - x.mean(axis=0)
    if components is not None:
        z = z @ np.linalg.svd(z, full_matrices=False)[2][:components].T
    expected = []
    for i in range(len(z)):
        distances = [np.sqrt(((z[i] - z[j]) ** 2).sum()) for j in range(len(z)) if j != i]
        expected.append(np.mean(sorted(distances)[:k]))
    return np.array(expected)


@pytest.mark.parametrize("components", [None, 2])
@pytest.mark.parametrize("k", [1, 3, 100])
def test_examples_that_leave_themselves_out_are_scored_as_new_ones(rng, k, components):
    x, new = rng.normal(5, size=(30, 4)), rng.normal(5, size=(9, 4))
    x[10:12] = x[3]  # three that are the same: each has the two others
    detector = NeighbourDistance(k, components, leave_out=True).fit(x)
    found = -detector.score_samples(x)
    np.testing.assert_allclose(found, without_itself(x, k, components), rtol=1e-5, atol=1e-6)
    assert (found[[3, 10, 11]] < 1e-6).all() == (k == 1)
    k = min(k, 29)
    usual = NeighbourDistance(k, components).fit(x).score_samples(new)
    np.testing.assert_allclose(detector.score_samples(new), usual, rtol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_equal_is_what_is_equal_as_float32_numbers(rng, monkeypatch, offset):
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    x = offset + rng.normal(size=(40, 5))
    detector = NeighbourDistance(2, leave_out=True).fit(x)
    expected = without_itself(x, 2)
    for rows in (x, x.astype(np.float32), x.astype(np.float32).astype(np.float64)):
        np.testing.assert_allclose(-detector.score_samples(rows), expected, rtol=1e-3)
    graph = tf.function(detector.anomaly, input_signature=[tf.TensorSpec((None, 5), tf.float32)])
    np.testing.assert_allclose(graph(tf.constant(x, tf.float32)), expected, rtol=1e-3)
    beside = x + 1e-4 * np.maximum(1, offset)  # close, but another
    usual = NeighbourDistance(2).fit(x).score_samples(beside)
    np.testing.assert_allclose(detector.score_samples(beside), usual, rtol=1e-12)


def test_one_example_has_no_others():
    assert NeighbourDistance().fit(np.ones((1, 3))).score_samples(np.zeros((1, 3))) == -np.sqrt(3)
    with pytest.raises(ValueError, match="a minimum of 2 is required by NeighbourDistance"):
        NeighbourDistance(leave_out=True).fit(np.ones((1, 3)))


def test_a_detector_saved_when_there_was_no_such_choice_scores_as_it_did(rng):
    x = rng.normal(size=(20, 3))
    detector = NeighbourDistance(2).fit(x)
    scores = detector.score_samples(x)
    del vars(detector)["leave_out"]
    np.testing.assert_array_equal(detector.score_samples(x), scores)
    assert detector.get_params()["leave_out"] is False
