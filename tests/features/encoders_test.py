"""Every encoder against its formula in float64, patch by patch."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm

from delvm_tf.features import ENCODERS, make_encoder


def rectifier(p, w, a):
    return [max(0, p @ k / np.linalg.norm(k) - a) for k in w.T]


def signed(p, w, a):
    return rectifier(p, w, a) + rectifier(p, -w, a)


def competition(p, w, a):
    responses = [p @ k / np.linalg.norm(k) for k in w.T]
    return [max(0, r - np.mean(responses) - a) for r in responses]


def triangle(p, w, a):
    distances = [np.linalg.norm(p - k) for k in w.T]
    return [max(0, np.mean(distances) - a - z) for z in distances]


def signed_triangle(p, w, a):
    units = w / np.linalg.norm(w, axis=0)
    return triangle(p, np.concatenate([units, -units], axis=1), a)


def relative(p, w, a):
    responses = [p @ k / np.linalg.norm(k) for k in w.T]
    usual = np.sqrt(np.mean(np.square(responses)))
    return [max(0, r - a * usual) for r in responses + [-r for r in responses]]


def nearest(p, w, a):
    return [float(r > 0) for r in relative(p, w, a)]


REFERENCES = {
    f.__name__.replace("_", "-"): f
    for f in (
        rectifier, signed, competition, triangle, signed_triangle, relative, nearest,
    )
}  # fmt: skip


@pytest.mark.parametrize("threshold", [0.0, 0.3])
@pytest.mark.parametrize("name", ENCODERS)
def test_it_is_the_formula(rng, name, threshold):
    patches, filters = rng.normal(size=(40, 5)), 3 * rng.normal(size=(5, 7))
    codes = make_encoder(name, filters, threshold)(tf.constant(patches, tf.float32)).numpy()
    expected = [REFERENCES[name](p, filters, threshold) for p in patches]
    np.testing.assert_allclose(codes, expected, atol=1e-5)
    assert 0.1 < np.mean(codes > 0) < 0.9


def test_a_triangle_keeps_the_digits_by_which_distances_differ(rng):
    patches = (1000 + rng.normal(size=(40, 5))).astype("float32")
    filters = rng.normal(size=(5, 7)).astype("float32")
    codes = make_encoder("triangle", filters)(tf.constant(patches)).numpy()
    expected = [triangle(p, filters.astype("float64"), 0.0) for p in patches.astype("float64")]
    np.testing.assert_allclose(codes, expected, atol=5e-6)


def test_a_triangle_has_a_gradient_for_flat_patches(rng):
    patches = tf.zeros((1, 5))
    with tf.GradientTape() as tape:
        tape.watch(patches)
        codes = make_encoder("triangle", rng.normal(size=(5, 7)))(patches)
    assert np.isfinite(tape.gradient(codes, patches)).all()


@pytest.mark.parametrize("name", [n for n in ENCODERS if n != "triangle"])
def test_norms_of_filters_play_no_part(rng, name):
    patches, filters = tf.random.normal((10, 5)), rng.normal(size=(5, 7))
    scaled = filters * np.geomspace(0.1, 10, 7)
    np.testing.assert_allclose(
        make_encoder(name, filters, 0.2)(patches), make_encoder(name, scaled, 0.2)(patches),
        atol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_the_nearest_filters_are_about_the_share_that_was_meant(rng, share):
    """Of filters and their opposites; against sorted distances, patch by patch."""
    patches, filters = rng.normal(size=(50, 30)), rng.normal(size=(30, 200))
    codes = make_encoder("nearest", filters, norm.ppf(1 - share))(tf.constant(patches, tf.float32))
    codes = codes.numpy()
    assert np.mean(codes) == pytest.approx(share, abs=0.01)
    units = filters / np.linalg.norm(filters, axis=0)
    both = np.concatenate([units, -units], axis=1)
    for patch, code in zip(patches, codes, strict=True):
        distances = np.linalg.norm(patch[:, np.newaxis] - both, axis=0)
        assert set(np.argsort(distances)[: int(code.sum())]) == set(np.flatnonzero(code))


@pytest.mark.parametrize(
    ("name", "threshold", "message"),
    [("nonsense", 0.0, "unknown encoder 'nonsense'.*rectifier"),
     ("signed", np.nan, "threshold must be a finite number")],
)  # fmt: skip
def test_bad_arguments_are_refused(name, threshold, message):
    with pytest.raises(ValueError, match=message):
        make_encoder(name, np.ones((3, 2)), threshold)
