import dataclasses
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import delvm_tf as dv
from trainers.evaluation import feature_store
from trainers.evaluation.feature_store import FeatureStore, Standardization, shuffled_batches
from trainers.evaluation.probe import LinearProbe

QUICK = {"epochs": 2, "minimum_steps": 20}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:500, 8:40], y[:500], X[500:800, 8:40], y[500:800]


@pytest.fixture
def blobs(rng):
    y = np.repeat([2, 5, 9], 40)
    return rng.normal(size=(120, 6)) + 2.0 * np.eye(6)[y % 6], y


@pytest.mark.parametrize(("l2", "steps"), [(1e-1, 600), (1e-2, 1000), (1e-3, 2000)])
def test_it_finds_the_minimum_that_scikit_learn_finds(digits, l2, steps):
    """Weights to 0.02 of at most 1.4, probabilities to 0.02."""
    X, y, X_test, _ = digits
    scaler = StandardScaler().fit(X)
    reference = LogisticRegression(C=1 / (len(X) * l2), max_iter=5000, tol=1e-8)
    reference.fit(scaler.transform(X), y)
    probe = LinearProbe(l2, minimum_steps=steps).fit(X, y)
    np.testing.assert_allclose(probe.coef_, reference.coef_, atol=0.02)
    np.testing.assert_allclose(probe.intercept_, reference.intercept_, atol=0.03)
    np.testing.assert_allclose(
        probe.predict_proba(X_test), reference.predict_proba(scaler.transform(X_test)), atol=0.02
    )
    assert np.abs(reference.coef_).max() > 0.2  # ten times the tolerance


@pytest.mark.parametrize(("l2", "steps"), [(1.0, 500), (1e-1, 1500)])
def test_with_the_squared_hinge_it_is_the_support_vector_machine_of_scikit_learn(digits, l2, steps):
    """Weights to 0.01 of at most 0.5; biases are free there too, being scaled up a hundredfold."""
    X, y, X_test, _ = digits
    scaler = StandardScaler().fit(X)
    reference = LinearSVC(
        C=1 / (len(X) * l2), dual=False, intercept_scaling=100, tol=1e-6, max_iter=10_000
    ).fit(scaler.transform(X), y)
    probe = LinearProbe(l2, minimum_steps=steps, loss="squared_hinge").fit(X, y)
    np.testing.assert_allclose(probe.coef_, reference.coef_, atol=0.01)
    np.testing.assert_allclose(probe.intercept_, reference.intercept_, atol=0.03)
    margins = reference.decision_function(scaler.transform(X_test))
    np.testing.assert_allclose(probe.decision_function(X_test), margins, atol=0.05)
    assert np.abs(reference.coef_).max() > 0.15  # fifteen times the tolerance
    with pytest.raises(AttributeError, match="no probabilities"):
        probe.predict_proba(X_test)


def test_the_penalty_of_a_support_vector_machine_is_chosen_by_accuracy(rng):
    y = np.repeat([0, 1], 50)
    X = rng.normal(size=(100, 60))
    X[:, :4] += 2.0 * y[:, None]
    probe = LinearProbe(
        (0.0, 0.3, 1e4), validation_fraction=0.3, minimum_steps=500, loss="squared_hinge"
    ).fit(X, y)
    accuracies = {l2: v["accuracy"] for l2, v in probe.validation_.items()}
    assert accuracies[probe.l2_] == max(accuracies.values())
    # Without weights the margins are the biases: 1 from each of two classes, whatever they are.
    assert probe.validation_[1e4]["squared_hinge"] == pytest.approx(2, abs=0.05)


def test_without_standardising_it_is_scikit_learns_on_the_features_as_they_are(blobs):
    X, y = blobs
    reference = LogisticRegression(C=1 / (len(X) * 0.1), tol=1e-8).fit(X, y)
    probe = LinearProbe(0.1, standardize=False).fit(X, y)
    np.testing.assert_allclose(probe.coef_, reference.coef_, atol=0.01)
    np.testing.assert_allclose(probe.intercept_, reference.intercept_, atol=0.02)


def test_penalties_trained_side_by_side_do_not_touch_each_other(blobs):
    X, y = blobs
    rows, targets = np.arange(len(X)), y % 3
    probe = LinearProbe(**QUICK).fit(X, y)
    together, _ = probe._train(X, targets, rows, [0.01, 1.0])
    for place, l2 in enumerate([0.01, 1.0]):
        alone, _ = probe._train(X, targets, rows, [l2])
        np.testing.assert_allclose(together[:, 3 * place : 3 * place + 3], alone, atol=1e-5)


def test_the_penalty_is_chosen_by_the_cross_entropy_of_examples_held_out(rng):
    """Many useless features and few examples: no penalty overfits, a large one learns nothing."""
    y = np.repeat([0, 1], 50)
    X = rng.normal(size=(100, 60))
    X[:, :4] += 2.0 * y[:, None]
    probe = LinearProbe((0.0, 0.3, 1000.0), validation_fraction=0.3, minimum_steps=500).fit(X, y)
    assert probe.l2_ == 0.3
    losses = {l2: v["cross_entropy"] for l2, v in probe.validation_.items()}
    assert losses[0.3] == min(losses.values())
    assert losses[1000.0] == pytest.approx(np.log(2), abs=0.02)
    assert 0.3 <= probe.validation_[0.3]["accuracy"] <= 1.0
    # What is returned is fitted on all examples, at the chosen penalty.
    again = LinearProbe(0.3, minimum_steps=500).fit(X, y)
    np.testing.assert_array_equal(again.coef_, probe.coef_)


def test_scikit_learns_habits(blobs):
    X, y = blobs
    probe = LinearProbe(**QUICK).fit(X, y)
    np.testing.assert_array_equal(probe.classes_, [2, 5, 9])
    assert probe.coef_.shape == (3, 6)
    p = probe.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    np.testing.assert_array_equal(probe.predict(X), probe.classes_[p.argmax(axis=1)])
    assert probe.score(X, y) == np.mean(probe.predict(X) == y) > 0.8
    names = np.array(["", "", "coat", "", "", "bag", "", "", "", "shoe"])
    words = LinearProbe(0.1, **QUICK).fit(X, names[y])
    assert set(words.predict(X)) == {"coat", "bag", "shoe"}
    with pytest.raises(NotFittedError):
        clone(probe).predict(X)


def test_a_seed_makes_it_reproducible(blobs):
    X, y = blobs
    first, again, other = (LinearProbe(**QUICK, seed=s).fit(X, y) for s in (3, 3, 4))
    np.testing.assert_array_equal(first.coef_, again.coef_)
    assert np.abs(first.coef_ - other.coef_).max() > 1e-6


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "float32", "float64", "bool"])
def test_every_real_type_gives_the_same(rng, dtype):
    y = np.repeat([0, 1], 60)
    X = (rng.random((120, 8)) < np.where(y, 0.8, 0.2)[:, None]).astype(dtype)
    expected = LinearProbe(0.1, **QUICK).fit(X.astype("float64"), y).predict_proba(X)
    np.testing.assert_allclose(
        LinearProbe(0.1, **QUICK).fit(X, y).predict_proba(X), expected, atol=1e-4
    )


def test_large_offsets_and_constant_features_do_no_harm(blobs):
    X, y = blobs
    shifted = np.concatenate([X + 1e8, np.full((120, 1), 0.1)], axis=1)
    probe = LinearProbe(0.1, **QUICK).fit(shifted, y)
    plain = LinearProbe(0.1, **QUICK).fit(X, y)
    np.testing.assert_allclose(probe.predict_proba(shifted), plain.predict_proba(X), atol=0.02)
    np.testing.assert_array_equal(probe.coef_[:, 6], 0.0)
    assert probe.scale_[6] == 1.0


def test_memory_maps_in_many_blocks_give_what_arrays_give(digits, tmp_path, monkeypatch):
    X, y, X_test, y_test = digits
    whole = LinearProbe(0.01).fit(X, y)
    monkeypatch.setattr(feature_store, "BLOCK_BYTES", 50_000)  # some 100 rows
    table = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float16, X.shape)
    table[:] = X
    mapped = LinearProbe(0.01).fit(table, y)
    np.testing.assert_allclose(mapped.mean_, X.mean(axis=0), atol=1e-10)
    np.testing.assert_allclose(mapped.scale_[X.std(axis=0) > 0], X.std(axis=0)[X.std(axis=0) > 0])
    np.testing.assert_allclose(mapped.coef_, whole.coef_, atol=0.03)
    assert mapped.score(X_test, y_test) == pytest.approx(whole.score(X_test, y_test), abs=0.01)


@pytest.mark.parametrize("n", [1, 63, 64, 500, 1001])
def test_a_pass_reads_every_row_once_in_another_order(n, rng, monkeypatch):
    monkeypatch.setattr(feature_store, "BLOCK_BYTES", 64 * 8 * 4 * 3)
    X = np.arange(2 * n, dtype="float32")[:, None].repeat(8, axis=1)
    rows = np.sort(rng.choice(2 * n, n, replace=False))
    read = list(shuffled_batches(X, rows, 50, rng, lambda block: block))
    for z, indices in read:
        np.testing.assert_array_equal(z, X[indices])
    assert [len(z) for z, _ in read[:-1]] == [50] * (len(read) - 1)
    order = np.concatenate([indices for _, indices in read])
    np.testing.assert_array_equal(np.sort(order), rows)
    if n > 1:
        assert not np.array_equal(order, rows)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda X, y: (X[:-1], y), ValueError, "X has 119 examples, but y has 120 labels"),
        (lambda X, y: (X, y * 0), ValueError, r"at least two classes, got \[0\] only"),
        (lambda X, y: (X, y + 0.5), ValueError, "must hold classes"),
        (lambda X, y: (X, np.eye(10)[y]), ValueError, "one label per example"),
        (lambda X, y: (X.reshape(120, 2, 3), y), ValueError, "flatten images"),
        (lambda X, y: (X[:0], y[:0]), ValueError, "without an empty axis"),
        (lambda X, y: (X.astype(str), y), TypeError, "must hold real numbers"),
        (lambda X, y: (X + 1j, y), TypeError, "must hold real numbers"),
        (lambda X, y: (np.where(np.arange(120)[:, None] == 7, np.nan, X), y), ValueError,
         "NaN or infinity in row 7 of 120"),
        (lambda X, y: (np.where(np.arange(120)[:, None] == 9, np.inf, X), y), ValueError,
         "NaN or infinity in row 9"),
        (lambda X, y: (X, np.where(np.arange(120) == 0, 7, y)), ValueError, "a choice of l2 needs"),
    ],
)  # fmt: skip
def test_bad_data_are_refused(blobs, change, error, message, monkeypatch):
    monkeypatch.setattr(LinearProbe, "_train", lambda *_: pytest.fail("work began"))
    with pytest.raises(error, match=message):
        LinearProbe(**QUICK).fit(*change(*blobs))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"l2": ()}, "l2 must be"), ({"l2": -1.0}, "l2 must be"), ({"l2": np.nan}, "l2 must be"),
        ({"epochs": 0}, "epochs must be a positive integer"),
        ({"batch_size": 2.5}, "batch_size must be"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"validation_fraction": 1.0}, "validation_fraction must lie"),
    ],
)  # fmt: skip
def test_bad_settings_are_refused(blobs, settings, message):
    with pytest.raises(ValueError, match=message):
        LinearProbe(**settings).fit(*blobs)


def test_predicting_other_features_is_refused(blobs):
    X, y = blobs
    probe = LinearProbe(0.1, **QUICK).fit(X, y)
    with pytest.raises(ValueError, match="X has 5 features, but the probe was fitted on 6"):
        probe.predict(X[:, :5])
    with pytest.raises(ValueError, match="NaN or infinity in row 1"):
        probe.predict(np.array([[0.0] * 6, [np.nan] * 6]))


# The store.


def test_the_store_keeps_affine_features_to_the_precision_of_float16(rng):
    x = rng.normal(size=(130, 4))
    offsets, sizes = np.array([0, 1e3, -5.0, 2.0]), np.array([1.0, 0.3, 30.0, 4.0])
    store = FeatureStore(lambda batch: batch * sizes + offsets, batch_size=50)
    train, test = store.fit(x), store.transform(x[:7])
    assert train.dtype == np.float16
    np.testing.assert_array_equal(train[:7], test)
    z = Standardization(train)(train)
    np.testing.assert_allclose(z, (x - x.mean(axis=0)) / x.std(axis=0), atol=4e-3)


@pytest.mark.parametrize("limit", [0, 10**6])
def test_large_tables_are_memory_maps_that_go_away(rng, tmp_path, limit):
    x = rng.normal(size=(40, 5)).astype("float32")
    with FeatureStore(np.tanh, batch_size=16, folder=tmp_path, memory_limit=limit) as store:
        tables = [store.fit(x), store.transform(x[:9])]
        assert all(isinstance(t, np.memmap) == (limit == 0) for t in tables)
        assert len(list(tmp_path.rglob("*.npy"))) == (2 if limit == 0 else 0)
        np.testing.assert_array_equal(tables[0][:9], tables[1])
    assert list(tmp_path.iterdir()) == []


def test_features_silent_in_the_first_batch_may_speak_later():
    x = np.zeros((60, 2), "float32")
    x[:, 0] = np.linspace(-1, 1, 60)
    x[50:, 1] = 3.0
    train = FeatureStore(lambda batch: batch, batch_size=20).fit(x)
    assert Standardization(train)(train)[55, 1] == pytest.approx(np.sqrt(5), rel=1e-3)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda b: b.sum(axis=1), r"must have shape \(20, features\), got \(20,\)"),
        (lambda b: b[:5], r"got \(5, 2\)"),
        (lambda b: np.where(b == b.max(), np.nan, b), "NaN or infinite features in 1 of"),
        (lambda b: np.exp(b), "too far from the first batch for float16"),
    ],
)
def test_features_that_cannot_be_kept_are_refused(function, message):
    x = np.stack([np.linspace(0, 60, 60)] * 2, axis=1)
    x[:, 1] = np.arange(60) % 7
    with pytest.raises(ValueError, match=message):
        FeatureStore(function, batch_size=20).fit(x)


def test_the_store_wants_training_data_first():
    with pytest.raises(ValueError, match="call fit"):
        FeatureStore(np.tanh).transform(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="no examples"):
        FeatureStore(np.tanh).fit(np.zeros((0, 2)))
    with pytest.raises(ValueError, match="batch_size must be positive"):
        FeatureStore(np.tanh, batch_size=0)


# Published figures for raw pixels, 84% and 39-41% with all training images; fewer give less.


@pytest.mark.parametrize(
    ("name", "n", "low", "high"),
    [
        ("fashion_mnist", 10_000, 0.82, 0.85),
        pytest.param("cifar10", 3_000, 0.28, 0.38, marks=pytest.mark.slow),
    ],
)
def test_raw_pixels_do_about_as_well_as_published(require_data, name, n, low, high):
    require_data(name)
    data = dv.datasets.load(name)
    few = dataclasses.replace(data, x_train=data.x_train[:n], y_train=data.y_train[:n])
    X, X_test = (x.reshape(len(x), -1) for x in (few.x_train, few.x_test))
    probe = LinearProbe(0.03, epochs=5, minimum_steps=150).fit(X, few.y_train)
    assert low < probe.score(X_test[:4000], few.y_test[:4000]) < high


def test_the_modules_know_no_model():
    folder = Path(feature_store.__file__).parent
    for name in ("probe.py", "feature_store.py"):
        assert "delvm_tf.models" not in (folder / name).read_text()
