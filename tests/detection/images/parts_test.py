"""The parts of the detector of images, each against a slow or dense reference."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.decomposition import PCA

from delvm_tf.detection.images import pooled_codes
from delvm_tf.detection.images.areas import area_means, shrunk
from delvm_tf.detection.images.components import principal_components
from delvm_tf.detection.images.image_detector import are_images, seen_sides
from delvm_tf.detection.images.moved_filters import moved_filters, unit
from delvm_tf.detection.images.nearness import FLOOR, Nearness
from delvm_tf.detection.images.pooled_codes import FILTERS, GRID, PooledCodes, halves, patch_side
from delvm_tf.detection.images.symmetries import (
    COUNT,
    code_orders,
    moved,
    orbit,
    patch_orders,
    products,
)
from delvm_tf.detection.images.uprightness import RIDGE, Uprightness, discriminant


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    smooth = np.cumsum(np.cumsum(rng.normal(size=(40, 14, 11, 2)), axis=1), axis=2)
    return (30 * smooth + rng.normal(size=smooth.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def codes(images):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pooled_codes, "PATCHES", 2000)
        return PooledCodes(images, images.shape[1:3], float(np.ptp(images)), seed=0)


def test_symmetries_are_a_group_of_eight_and_nothing_else():
    square = np.arange(9).reshape(1, 3, 3)
    assert len({moved(a, square).tobytes() for a in range(COUNT)}) == COUNT
    np.testing.assert_array_equal(moved(0, square), square)
    after = products()
    for a in range(COUNT):
        assert sorted(after[a]) == sorted(after[:, a]) == list(range(COUNT))
        for b in range(COUNT):
            both = moved(a, moved(b, square))
            np.testing.assert_array_equal(both, moved(after[a, b], square))


def test_orbits_of_filters_are_their_moved_versions():
    filters = np.random.default_rng(1).normal(size=(3, 4 * 4 * 2))
    found = orbit(filters, 4).reshape(3, COUNT, 4, 4, 2)
    for a in range(COUNT):
        np.testing.assert_array_equal(found[:, a], moved(a, filters.reshape(3, 4, 4, 2)))


def test_codes_of_moved_images_are_the_codes_in_another_order(images, codes):
    plain = codes(tf.constant(images[:5])).numpy().reshape(5, -1)
    orders = code_orders(GRID, FILTERS)
    assert plain.std() > 0.01
    for a in range(COUNT):
        turned = np.ascontiguousarray(moved(a, images[:5]))
        codes.sides = turned.shape[1:3]
        found = codes(tf.constant(turned)).numpy().reshape(5, -1)
        np.testing.assert_allclose(found, plain[:, orders[a]], atol=2e-5)
    codes.sides = images.shape[1:3]


def test_codes_against_loops_in_float64(images, codes):
    kernel, shift = codes.kernel.numpy().astype(float), codes.shift.numpy().astype(float)
    x = images[3].astype(float)
    size = codes.size
    rows, columns = x.shape[0] - size + 1, x.shape[1] - size + 1
    expected = np.zeros((GRID, GRID, kernel.shape[1]))
    for i in range(rows):
        for j in range(columns):
            p = x[i : i + size, j : j + size].ravel()
            q = (p - p.mean()) / np.sqrt(p.var() + codes.noise)
            code = np.maximum(0, q @ kernel + shift)
            for g in range(GRID):
                for h in range(GRID):
                    tall = min((g + 1) * rows / GRID, i + 1) - max(g * rows / GRID, i)
                    wide = min((h + 1) * columns / GRID, j + 1) - max(h * columns / GRID, j)
                    share = max(0, tall) * max(0, wide) * GRID**2 / (rows * columns)
                    expected[g, h] += share * code
    found = codes(tf.constant(images[3:4])).numpy()[0]
    np.testing.assert_allclose(found, expected.reshape(GRID * GRID, -1), rtol=1e-4, atol=1e-5)
    by_two = expected.reshape(2, 2, 2, 2, -1).mean(axis=(1, 3)).reshape(4, -1)
    np.testing.assert_allclose(halves(found[np.newaxis])[0], by_two, rtol=1e-4, atol=1e-5)


def test_codes_of_unit_filters_see_whitened_patches(images, codes):
    patches = codes._drawn(images, seed=0)
    q = patches - patches.mean(axis=1, keepdims=True)
    q /= np.sqrt(np.square(q).mean(axis=1, keepdims=True) + codes.noise)
    versions = [q[:, order] for order in patch_orders(codes.size, q.shape[1])]
    mean, whitening = codes._whitening(q)
    np.testing.assert_allclose(mean, np.concatenate(versions).mean(axis=0), atol=1e-12)
    covariance = np.mean([np.cov(v, rowvar=False, bias=True) for v in versions], axis=0)
    values = np.linalg.eigvalsh(covariance)
    found = np.linalg.eigvalsh(whitening @ covariance @ whitening.T)
    np.testing.assert_allclose(found, np.sort(values / (values + 0.1)), atol=1e-8)


def test_codes_do_not_depend_on_how_many_images_come_at_once(images, codes):
    single = np.concatenate([codes(tf.constant(images[k : k + 1])) for k in range(40)])
    np.testing.assert_allclose(codes.compiled(images).numpy(), single, rtol=1e-4, atol=1e-5)


def test_patches_fit_into_all_images():
    assert [patch_side(side, 100) for side in (8, 16, 20, 28, 96)] == [3, 5, 6, 6, 6]


def test_area_means():
    np.testing.assert_allclose(area_means(6, 3) @ np.arange(6.0), [0.5, 2.5, 4.5])
    np.testing.assert_allclose(area_means(3, 2), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]], rtol=1e-6)
    np.testing.assert_allclose(area_means(2, 4), [[1, 0], [1, 0], [0, 1], [0, 1]])
    for parts in (1, 4, 7, 30):
        np.testing.assert_allclose(area_means(13, parts).sum(axis=1), 1, rtol=1e-6)


def test_shrunk_images_are_means_over_areas():
    x = np.random.default_rng(0).normal(size=(2, 12, 6, 3)).astype(np.float32)
    expected = x.reshape(2, 4, 3, 2, 3, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(shrunk(tf.constant(x), (4, 2)), expected, atol=1e-6)
    assert shrunk(tf.constant(x), (12, 6)).numpy() is not None
    assert seen_sides(640, 480) == (64, 48)
    assert seen_sides(1000, 20) == (64, 8)
    assert seen_sides(28, 30) == (28, 30)


def test_what_counts_as_an_image():
    assert are_images((8, 8))
    assert are_images((96, 64, 4))
    assert not are_images((7, 9))
    assert not are_images((140,))
    assert not are_images((8, 8, 8, 1))


def test_components_are_those_of_a_whole_decomposition():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(300, 80)) * 0.9 ** np.arange(80)
    z = (z - z.mean(axis=0)).astype(np.float32)
    directions, variances = principal_components(z, 10, seed=0)
    pca = PCA(10, svd_solver="full").fit(z)
    np.testing.assert_allclose(variances, pca.explained_variance_ * 299 / 300, rtol=1e-3)
    np.testing.assert_allclose(np.abs(np.sum(directions.T * pca.components_, axis=1)), 1, atol=0.01)
    np.testing.assert_allclose(directions.T @ directions, np.eye(10), atol=1e-4)
    line = z[:, :3] * np.float32([1, 0, 0])
    few, none = principal_components(line, 3, seed=0)
    assert np.isfinite(few).all()
    assert none[0] > 0.1
    assert np.all(none[1:] < 1e-6)


def test_filters_are_found_in_whatever_version_their_patches_come():
    rng = np.random.default_rng(0)
    truth = unit(rng.normal(size=(3, 5 * 5)))
    versions = orbit(truth, 5)
    patches = versions[rng.integers(len(versions), size=2000)] * rng.uniform(1, 3, (2000, 1))
    patches = patches + 0.02 * rng.normal(size=patches.shape)
    found = moved_filters(patches, 8, 5, seed=0)  # more than there are, for some may be the same
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    alike = orbit(found, 5) @ truth.T
    assert alike.max(axis=0).min() > 0.99
    assert np.abs(found @ versions.T).max(axis=1).min() > 0.99


def oriented(n, seed, upright=True):
    """Codes of things that stand upright, or in any of the eight ways."""
    rng = np.random.default_rng(seed)
    orders = code_orders(2, 2)
    codes = np.abs(rng.normal(size=(n, orders.shape[1])))
    codes[:, :8] += 1.0
    if not upright:
        codes = np.stack(
            [c[orders[k]] for c, k in zip(codes, rng.integers(8, size=n), strict=True)]
        )
    return codes.astype(np.float32), orders


def test_the_discriminant_is_that_of_all_eight_versions():
    codes, orders = oriented(50, 0)
    everything = np.concatenate([codes[:, order] for order in orders]).astype(float)
    mean = everything.mean(axis=0)
    covariance = np.cov(everything, rowvar=False, bias=True)
    ridge = RIDGE * np.trace(covariance) / len(mean)
    expected = np.linalg.solve(covariance + ridge * np.eye(len(mean)), codes.mean(axis=0) - mean)
    found, usual = discriminant(codes, orders)
    np.testing.assert_allclose(usual, mean, rtol=1e-5)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_what_stands_upright_is_told_from_what_does_not():
    codes, orders = oriented(200, 0)
    score = Uprightness(codes, orders, seed=0)
    assert score.weight == 1
    assert score.told > 0.9
    new, _ = oriented(100, 1)
    upright, fallen = score(new).numpy(), score(new[:, orders[2]]).numpy()
    assert np.mean(upright < fallen) > 0.95
    held = np.quantile(upright, [0.05, 0.95])
    assert 0.5 < held[1] - held[0] < 2
    assert abs(np.median(upright)) < 0.5


def test_what_has_no_direction_counts_nothing():
    weights = []
    for seed in range(5):
        codes, orders = oriented(200, seed, upright=False)
        score = Uprightness(codes, orders, seed)
        weights.append(score.weight)
        np.testing.assert_array_equal(score(codes[:3]) == 0, [score.weight == 0] * 3)
    assert np.median(weights) == 0


def test_constant_codes_have_no_direction():
    codes, orders = oriented(10, 0)
    score = Uprightness(np.ones_like(codes), orders, seed=0)
    assert score.weight == 0
    assert np.all(score(codes).numpy() == 0)


def test_nearness_is_the_standardised_log_distance_to_three():
    rng = np.random.default_rng(0)
    mixing = np.eye(12) + 0.1 * rng.normal(size=(12, 12))
    codes = (rng.normal(size=(60, 12)) @ mixing).astype(np.float32) + 5
    new = codes[:7] + rng.normal(size=(7, 12)).astype(np.float32)
    std = codes.std(axis=0, dtype=float)
    z = (codes - codes.mean(axis=0)) / (std + 0.01 * std.mean())
    pca = PCA(svd_solver="full").fit(z)
    scale = (pca.explained_variance_ * 59 / 60) ** 0.25

    def views(x):
        return pca.transform((x - codes.mean(axis=0)) / (std + 0.01 * std.mean())) / scale

    def distances(a, skip):
        found = np.linalg.norm(views(a)[:, np.newaxis] - views(codes), axis=2)
        return np.sort(found, axis=1)[:, skip : skip + 3].mean(axis=1)

    usual = distances(codes, 1)
    logs = np.log(usual + FLOOR * np.median(usual))
    low, middle, high = np.quantile(logs, [0.05, 0.5, 0.95])
    expected = (np.log(distances(new, 0) + FLOOR * np.median(usual)) - middle) / (high - low)
    np.testing.assert_allclose(Nearness(codes, 0)(new), expected, atol=2e-3)


def test_nearness_of_codes_that_are_all_the_same_is_finite():
    score = Nearness(np.ones((10, 6), np.float32), 0)
    found = score(np.stack([np.ones(6), 2 * np.ones(6)]).astype(np.float32)).numpy()
    assert np.isfinite(found).all()
    assert found[1] > found[0] + 1
