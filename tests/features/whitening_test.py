import numpy as np
import pytest

from delvm_tf.features import PatchWhitening


def reference(patches, new, offset, epsilon):
    """Straight from the formula, in float64."""

    def normalize(p):
        centred = p - p.mean(axis=1, keepdims=True)
        return centred / np.sqrt(p.var(axis=1, keepdims=True) + offset)

    q = normalize(patches.astype(np.float64))
    values, vectors = np.linalg.eigh(np.cov(q.T, bias=True))
    root = vectors @ np.diag((np.maximum(values, 0) + epsilon) ** -0.5) @ vectors.T
    return (normalize(new.astype(np.float64)) - q.mean(axis=0)) @ root


@pytest.fixture
def patches(rng):
    mixing = rng.normal(size=(12, 12)) + 1.0
    return np.clip(128 + 20 * rng.normal(size=(3000, 12)) @ mixing, 0, 255)


def test_it_is_the_formula(patches):
    whiten = PatchWhitening(patches, offset=10, epsilon=0.05)
    expected = reference(patches, patches[:50], 10, 0.05)
    np.testing.assert_allclose(whiten(patches[:50]), expected, atol=2e-4)
    assert np.abs(expected).max() > 1


def test_more_patches_than_a_block_give_the_same_as_one_block(patches):
    many = np.tile(patches, (20, 1))
    np.testing.assert_allclose(
        PatchWhitening(many).matrix, PatchWhitening(patches).matrix, atol=1e-4
    )


@pytest.mark.parametrize("components", [1, 5, 12])
def test_components_are_the_directions_of_most_variance(patches, components):
    z = PatchWhitening(patches, 10, 0.05, components)(patches).numpy()
    assert z.shape == (len(patches), components)
    whole = reference(patches, patches, 10, 0.05)
    covariance = np.cov(z.T, bias=True).reshape(components, components)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=2e-3)
    largest = np.sort(np.linalg.eigvalsh(np.cov(whole.T, bias=True)))[::-1]
    np.testing.assert_allclose(np.diag(covariance), largest[:components], atol=2e-3)


def test_a_change_of_epsilon_is_a_product(patches):
    fine, coarse = PatchWhitening(patches, epsilon=1e-3), PatchWhitening(patches, epsilon=0.1)
    change = fine.change_to(coarse)
    np.testing.assert_allclose(fine(patches) @ change, coarse(patches), atol=2e-3)
    assert np.abs(coarse(patches).numpy() - fine(patches)).max() > 0.5


def test_components_out_of_range_are_refused(patches):
    for components in (0, 13):
        with pytest.raises(ValueError, match="between 1 and the 12 values"):
            PatchWhitening(patches, components=components)


def test_whitened_patches_have_equal_variances_where_epsilon_is_small(patches):
    z = PatchWhitening(patches, epsilon=1e-6)(patches).numpy()
    values = np.linalg.eigvalsh(np.cov(z.T))
    assert values[0] == pytest.approx(0, abs=1e-3)  # the mean of a patch is gone
    np.testing.assert_allclose(values[1:], 1, atol=0.02)


def test_flat_patches_become_the_same_whatever_their_brightness(patches):
    z = PatchWhitening(patches)(np.array([[0.0] * 12, [255.0] * 12])).numpy()
    np.testing.assert_allclose(z[0], z[1], atol=1e-5)
    assert np.isfinite(z).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patches": np.zeros((1, 4))}, "two or more"),
        ({"patches": np.zeros(4)}, r"shape \(n, d\)"),
        ({"patches": np.full((3, 4), np.nan)}, "NaN or infinity"),
        ({"patches": np.ones((3, 4)), "offset": 0}, "offset must be positive"),
        ({"patches": np.ones((3, 4)), "epsilon": -1}, "epsilon must be positive"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PatchWhitening(**arguments)
