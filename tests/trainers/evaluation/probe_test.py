import dataclasses

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import delvm_tf as dv
from trainers.evaluation.probe import LinearProbe

QUICK = {"epochs": 2, "minimum_steps": 20}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    X = X[:, 8:40].astype("float32")
    return X[:500], y[:500], X[500:800], y[500:800]


@pytest.fixture
def noisy(rng):
    """Many useless features and few examples."""
    y = np.repeat([0, 1], 50)
    X = rng.normal(size=(100, 60)).astype("float32")
    X[:, :4] += 2.0 * y[:, None]
    return X, y


def weights(probe):
    kernel, bias = (w.numpy() for w in probe.model_.layers[-1].weights)
    return kernel[:, 0].T, bias[0]


@pytest.mark.parametrize(
    ("l2", "steps"), [(1e-1, 600), pytest.param(1e-3, 2000, marks=pytest.mark.slow)]
)
def test_it_finds_the_minimum_that_scikit_learn_finds(digits, l2, steps):
    """Weights to 0.02 of at most 1.4, probabilities to 0.02."""
    X, y, X_test, y_test = digits
    scaler = StandardScaler().fit(X)
    reference = LogisticRegression(C=1 / (len(X) * l2), max_iter=5000, tol=1e-8)
    reference.fit(scaler.transform(X), y)
    probe = LinearProbe(l2, minimum_steps=steps).fit(X, y)
    kernel, bias = weights(probe)
    np.testing.assert_allclose(kernel, reference.coef_, atol=0.02)
    np.testing.assert_allclose(bias - bias.mean(), reference.intercept_, atol=0.03)
    expected = reference.score(scaler.transform(X_test), y_test)
    assert probe.score(X_test, y_test) == pytest.approx(expected, abs=0.01)
    assert np.abs(reference.coef_).max() > 0.2  # ten times the tolerance


def test_with_the_squared_hinge_it_is_the_support_vector_machine_of_scikit_learn(digits):
    """Weights to 0.01 of at most 0.5; biases are free there too, being scaled up a hundredfold."""
    X, y, X_test, _ = digits
    scaler = StandardScaler().fit(X)
    reference = LinearSVC(
        C=1 / (len(X) * 0.1), dual=False, intercept_scaling=100, tol=1e-6, max_iter=10_000
    ).fit(scaler.transform(X), y)
    probe = LinearProbe(0.1, minimum_steps=1500, loss="squared_hinge").fit(X, y)
    kernel, bias = weights(probe)
    np.testing.assert_allclose(kernel, reference.coef_, atol=0.01)
    np.testing.assert_allclose(bias, reference.intercept_, atol=0.03)
    margins = reference.decision_function(scaler.transform(X_test))
    np.testing.assert_allclose(probe.model_.predict(X_test)[:, 0], margins, atol=0.05)
    assert np.abs(reference.coef_).max() > 0.15  # fifteen times the tolerance


@pytest.mark.parametrize(
    "loss", ["cross_entropy", pytest.param("squared_hinge", marks=pytest.mark.slow)]
)
def test_the_penalty_is_chosen_on_examples_held_out_and_all_are_fitted(noisy, loss):
    """No penalty overfits, a large one learns nothing."""
    probe = LinearProbe((1000.0, 0.3, 0.0), minimum_steps=500, loss=loss).fit(*noisy)
    assert probe.l2_ == 0.3
    again = LinearProbe(0.3, minimum_steps=500, loss=loss).fit(*noisy)
    np.testing.assert_array_equal(weights(again)[0], weights(probe)[0])


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_hinge"])
def test_penalties_trained_side_by_side_do_not_touch_each_other(noisy, loss):
    X, y = noisy
    probe, rows = LinearProbe(**QUICK, loss=loss), np.arange(len(X))
    scaler = StandardScaler().fit(X)
    together = probe._train(X, y, rows, [0.01, 1.0], scaler).predict(X)
    for place, l2 in enumerate([0.01, 1.0]):
        alone = probe._train(X, y, rows, [l2], scaler).predict(X)
        np.testing.assert_allclose(together[:, place], alone[:, 0], atol=1e-3)
    assert np.abs(together[:, 0] - together[:, 1]).max() > 0.05


@pytest.mark.slow
def test_a_seed_makes_it_reproducible(noisy):
    first, again, other = (weights(LinearProbe(**QUICK, seed=s).fit(*noisy))[0] for s in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-6


def test_offsets_and_constant_features_do_no_harm(noisy):
    X, y = noisy
    flat = np.full((100, 1), 0.1, "float32")
    shifted = np.concatenate([X + 1e3, flat], axis=1)
    probe, plain = (LinearProbe(0.1, minimum_steps=500).fit(each, y) for each in (shifted, X))
    assert np.abs(weights(probe)[0][:, 60]).max() < 1e-3
    np.testing.assert_allclose(probe.model_.predict(shifted), plain.model_.predict(X), atol=0.05)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"l2": ()}, "l2 must be"), ({"l2": -1.0}, "l2 must be"), ({"l2": np.nan}, "l2 must be"),
        ({"epochs": 0}, "epochs must be a positive integer"),
        ({"minimum_steps": 2.5}, "minimum_steps must be"), ({"loss": "hinge"}, "unknown loss"),
    ],
)  # fmt: skip
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        LinearProbe(**settings)


def test_too_few_rows_to_choose_by_are_refused(noisy):
    X, y = noisy
    with pytest.raises(ValueError, match="classes"):
        LinearProbe().fit(X[45:55], y[45:55])


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
    X, X_test = (x.reshape(len(x), -1).astype("float32") for x in (few.x_train, few.x_test))
    probe = LinearProbe(0.03, epochs=5, minimum_steps=150).fit(X, few.y_train)
    assert low < probe.score(X_test[:4000], few.y_test[:4000]) < high
