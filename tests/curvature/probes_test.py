import keras
import numpy as np
import pytest
import tensorflow as tf

from delvm_tf.curvature.probes import Basis, Gaussian, Lattice, Rademacher, lattice_spacing

SEED = keras.random.SeedGenerator(1)
X = tf.zeros((2, 5, 4, 2), tf.float64)
SHAPE = (5, 4, 2)


def all_directions(probes, x=X):
    noise = probes.draw(x, SEED)
    return probes.take(0, probes.count, noise, x.dtype).numpy()


def test_basis_probes_are_the_unit_vectors():
    directions = all_directions(Basis(SHAPE))
    assert directions.shape == (40, 1, 5, 4, 2)
    np.testing.assert_array_equal(directions.reshape(40, 40), np.eye(40))


@pytest.mark.parametrize("spacing", [1, 2, 3, (2, 1, 1), (3, 4, 2), (1, 2, 2)])
def test_lattice_probes_hold_every_value_once(spacing):
    lattice = Lattice(SHAPE, spacing, receptive_field=SHAPE)
    directions = all_directions(lattice)
    assert len(directions) == lattice.count == np.prod(lattice.spacing)
    np.testing.assert_array_equal(np.abs(directions).sum(axis=0), np.ones((len(X), *SHAPE)))


def test_values_of_one_lattice_probe_lie_a_multiple_of_the_spacing_apart():
    for probe in all_directions(Lattice(SHAPE, (3, 2, 2), receptive_field=SHAPE))[:, 0]:
        for axis, (positions, spacing) in enumerate(zip(np.nonzero(probe), (3, 2, 2), strict=True)):
            assert set((positions - positions[0]) % spacing) <= {0}, axis


def test_a_lattice_is_exact_from_the_receptive_field_on_and_then_needs_no_noise():
    assert not Lattice(SHAPE, 2, (3, 3, 2)).exact
    exact = Lattice(SHAPE, 3, (3, 3, 2))
    assert exact.exact
    assert exact.draw(X, SEED) is None
    assert all_directions(exact).shape == (18, 1, *SHAPE)
    assert set(np.unique(all_directions(exact))) == {0.0, 1.0}


def test_signs_of_a_lattice_differ_between_examples_and_draws():
    lattice = Lattice(SHAPE, 2, SHAPE)
    first, second = all_directions(lattice), all_directions(lattice)
    assert not np.array_equal(first[:, 0], first[:, 1])
    assert not np.array_equal(first, second)
    assert set(np.unique(first)) == {-1.0, 0.0, 1.0}


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [(1, (1, 1, 1)), (2, (2, 2, 2)), (3, (3, 3, 2)), (9, (5, 4, 2)), ((2, 3, 1), (2, 3, 1))],
)
def test_one_number_is_the_spacing_of_positions_and_keeps_channels_apart(spacing, expected):
    assert lattice_spacing(SHAPE, spacing) == expected


def test_the_only_axis_of_a_vector_is_no_channel_axis():
    assert lattice_spacing((140,), 3) == (3,)


@pytest.mark.parametrize(
    ("spacing", "message"),
    [(0, "positive integers, got 0"), ((2, 2), "2 entries, but inputs of shape .* have 3 axes"),
     (1.5, "positive integers, got 1.5"), ((1, -1, 1), "positive integers")],
)  # fmt: skip
def test_bad_spacings_are_refused(spacing, message):
    with pytest.raises(ValueError, match=message):
        lattice_spacing(SHAPE, spacing)


@pytest.mark.parametrize("kind", [Rademacher, Gaussian])
@pytest.mark.parametrize("count", [1, 3])
def test_random_probes_have_the_identity_as_second_moment(kind, count):
    """Σ_c E[v_c v_cᵀ] = I: each entry of the mean over 20,000 examples within 5 standard errors."""
    examples = 20_000
    directions = all_directions(kind((3,), count), tf.zeros((examples, 3), tf.float64))
    products = np.einsum("cni,cnj->nij", directions, directions)
    error = products.std(axis=0) / np.sqrt(examples)
    assert np.all(np.abs(products.mean(axis=0) - np.eye(3)) <= 5 * error + 1e-12)


def test_gaussian_probes_are_normal_and_rademacher_probes_are_signs():
    x = tf.zeros((5000, 3), tf.float64)
    normal = all_directions(Gaussian((3,), 1), x)
    assert np.mean(normal**4) == pytest.approx(3, rel=0.1)  # fourth moment of a standard normal
    assert set(np.unique(all_directions(Rademacher((3,), 1), x))) == {-1.0, 1.0}


@pytest.mark.parametrize(
    "probes",
    [Basis(SHAPE), Lattice(SHAPE, 2, SHAPE), Lattice(SHAPE, 9, SHAPE), Rademacher(SHAPE, 7),
     Gaussian(SHAPE, 7)],
    ids=["basis", "lattice", "exact lattice", "rademacher", "gaussian"],
)  # fmt: skip
def test_chunks_are_the_whole_and_past_the_end_there_is_nothing(probes):
    noise = probes.draw(X, SEED)
    whole = probes.take(0, probes.count, noise, X.dtype).numpy()
    size = 3
    chunks = [
        probes.take(tf.constant(start), size, noise, X.dtype).numpy()
        for start in range(0, probes.count, size)
    ]
    joined = np.concatenate(chunks)
    np.testing.assert_array_equal(joined[: probes.count], whole)
    assert not joined[probes.count :].any()


def test_draws_follow_the_seed():
    lattice = Lattice(SHAPE, 1, SHAPE)
    draws = [lattice.draw(X, keras.random.SeedGenerator(s)).numpy() for s in (5, 5, 6)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
