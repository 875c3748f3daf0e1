import numpy as np
import pytest

from delvm_tf.detection import PCAResidual, PrincipalGaussian


@pytest.mark.parametrize("offset", [5.0, 1e8])
@pytest.mark.parametrize("k", [1, 3])
def test_pca_residual_is_the_squared_distance_to_the_first_components(rng, k, offset):
    train = rng.normal(size=(100, 8)) @ rng.normal(size=(8, 8))
    test = rng.normal(size=(10, 8)) @ rng.normal(size=(8, 8))
    mean = train.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov(train.T))
    rest = vectors[:, : 8 - k]  # the directions of least variance
    expected = -np.square((test - mean) @ rest).sum(axis=1)
    scores = PCAResidual(k).fit(train + offset).score_samples(test + offset)
    np.testing.assert_allclose(scores, expected, rtol=1e-14 * offset + 1e-8)


def test_a_gaussian_with_all_directions_is_the_multivariate_normal(rng):
    from scipy.stats import multivariate_normal

    x = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 3))
    new = rng.normal(size=(20, 3))
    normal = multivariate_normal(x.mean(axis=0), np.cov(x, rowvar=False))
    scores = PrincipalGaussian(3).fit(x).score_samples(new)
    np.testing.assert_allclose(scores, normal.logpdf(new), rtol=1e-9)


def test_a_gaussian_with_few_directions_is_probabilistic_pca(rng):
    from sklearn.decomposition import PCA

    x = rng.normal(size=(300, 12)) * np.linspace(3, 0.3, 12)
    new = rng.normal(size=(20, 12))
    reference = PCA(4, svd_solver="full").fit(x).score_samples(new)
    scores = PrincipalGaussian(4).fit(x).score_samples(new)
    np.testing.assert_allclose(scores, reference, rtol=0.01)  # the randomised directions differ


def test_more_components_than_there_can_be_are_reduced(rng):
    x = rng.normal(size=(5, 40))
    scores = PrincipalGaussian(100).fit(x).score_samples(rng.normal(size=(3, 40)))
    assert np.isfinite(scores).all()
