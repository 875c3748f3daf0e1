import numpy as np
import pytest

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
