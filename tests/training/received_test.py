"""A row is looked through once, whatever way it takes."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.detection import validation
from delvm_tf.inputs import batches

N, D = 20, 3
NAMES = ["a", "b", "c"]


def rows():
    return np.random.default_rng(0).normal(size=(N, D)) * [1.0, 2.0, 3.0]


def model(eager=False):
    made = dv.DELVM(dv.networks.ffnn((4, 2), "softplus", seed=0))
    made.adapt(rows())
    made.compile("adam", run_eagerly=eager)
    return made


def eager():
    """Takes arrays alike, and looks at each step."""
    return model(eager=True)


def detector(**kwargs):
    return dv.AnomalyDetector(model(), **kwargs)


@pytest.fixture
def looked(monkeypatch):
    """Counts the rows that are looked through, by this library and by scikit-learn for it."""
    counts = []

    def counting(check):
        def counted(x, *args, **kwargs):
            counts.append(len(x))
            return check(x, *args, **kwargs)

        return counted

    monkeypatch.setattr(batches, "check_finite", counting(batches.check_finite))
    monkeypatch.setattr(validation, "check_array", counting(validation.check_array))
    return counts


ONCE = {
    "adapt": (model, lambda made, x: made.adapt(x)),
    "fit": (eager, lambda made, x: made.fit(x, epochs=2, verbose=0)),
    "fit, resumable": (
        eager, lambda made, x: made.fit(
            x, epochs=2, verbose=0, callbacks=[keras.callbacks.BackupAndRestore("backup")]
        ),
    ),
    "fit and validation by a split": (
        eager, lambda made, x: made.fit(x, epochs=2, validation_split=0.5, verbose=0)
    ),
    "fit with labels": (eager, lambda made, x: made.fit(x, np.arange(N) % 2, verbose=0)),
    "layer by layer": (
        eager, lambda made, x: dv.fit_layerwise(made, x, epochs=1, joint_epochs=1, verbose=0)
    ),
    "evaluate": (eager, lambda made, x: made.evaluate(x, verbose=0)),
    "predict": (model, lambda made, x: made.predict(x, verbose=0)),
    "test_on_batch": (model, lambda made, x: made.test_on_batch(x)),
    "predict_on_batch": (model, lambda made, x: made.predict_on_batch(x)),
    "call": (model, lambda made, x: made(x)),
    "energy": (model, lambda made, x: made.energy(x, batch_size=7)),
    "features": (model, lambda made, x: made.features(x)),
    "a detector's fit": (detector, lambda made, x: made.fit(x)),
    "a detector that trains": (lambda: detector(epochs=1), lambda made, x: made.fit(x)),
    "a detector that goes on": (
        lambda: detector(epochs=1, warm_start=True), lambda made, x: made.fit(x)
    ),
    "a detector's score": (lambda: detector().fit(rows()), lambda made, x: made.anomaly_score(x)),
    "a detector of features": (  # which looks through these too
        lambda: dv.detection.FeatureDetector(model().features, dv.detection.PrincipalGaussian(1)),
        lambda made, x: made.fit(x),
    ),
    "an ensemble": (
        lambda: dv.detection.ModelEnsemble([model(), model()]), lambda made, x: made.fit(x)
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", ONCE)
@pytest.mark.parametrize("kind", ["array", "table"])
@pytest.mark.filterwarnings("ignore:[xX] has feature names")
def test_a_row_is_looked_through_once(way, kind, looked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, go = ONCE[way]
    made = make()
    x = rows() if kind == "array" else pd.DataFrame(rows(), columns=NAMES)
    looked.clear()
    go(made, x)
    assert looked == ([N, N] if "features" in way and "detector" in way else [N])


def test_validation_data_are_looked_through_once_and_not_every_epoch(looked):
    made = eager()
    looked.clear()
    made.fit(rows(), validation_data=(rows()[:5],), epochs=3, verbose=0)
    assert looked == [N, 5]


def test_a_batch_that_is_trained_on_is_left_to_the_guard_of_the_step(looked):
    made = model()
    looked.clear()
    made.train_on_batch(rows())
    made.fit(tf.data.Dataset.from_tensor_slices(rows()).batch(10), verbose=0)
    assert looked == []


def test_rows_that_were_checked_are_still_of_a_shape_a_type_and_names():
    table = pd.DataFrame(rows(), columns=NAMES)
    made = dv.DELVM(dv.networks.ffnn((4,)))
    made.adapt(batches.CheckedRows(rows(), tuple(NAMES)))
    assert made.feature_names_in_ == tuple(NAMES)
    np.testing.assert_array_equal(
        made.energy(batches.CheckedRows(rows(), tuple(NAMES))), made.energy(table)
    )
    for values, names, error, message in (
        (rows()[:, :2], NAMES, ValueError, r"expects x of shape \(batch, 3\), got \(20, 2\)"),
        (rows() > 0, NAMES, TypeError, "got dtype bool"),
        (rows(), ["b", "a", "c"], ValueError, "same order"),
    ):
        with pytest.raises(error, match=message):
            made.energy(batches.CheckedRows(values, tuple(names)))
