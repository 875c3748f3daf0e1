"""A detector trains what a recipe says."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.catalog import Recipe
from delvm_tf.detection import ModelEnsemble, table_rows
from delvm_tf.detection.fitting import MEMBER_SEEDS

TABLE = {
    "model": "delvm", "objective": "denoising", "epochs": 2, "batch_size": 32,
    "model_settings": {"units": [8], "normalization": "zscore"},
    "objective_settings": {"sigma": 1.0},
}  # fmt: skip


def recipe(**changes):
    return Recipe.from_table({**TABLE, **changes})


@pytest.fixture
def x(rng):
    return rng.normal(3, 2, size=(150, 4))


def test_what_is_trained_for_a_criterion_is_a_recipe_too(x):
    given = dv.AnomalyDetector(dv.catalog.default_recipe(), contamination=0.1, epochs=2).fit(x)
    own = dv.AnomalyDetector(criterion="energy", contamination=0.1, epochs=2).fit(x)
    np.testing.assert_array_equal(given.anomaly_score(x), own.anomaly_score(x))
    assert given.threshold_ == own.threshold_


def test_its_training_is_that_of_the_recipe(x):
    seen = []
    watcher = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(1))
    detector = dv.AnomalyDetector(recipe(), contamination=0.1).fit(x, callbacks=[watcher])
    assert len(seen) == 2 * 4  # epochs of 120 rows in batches of 32
    assert detector.criterion_ == "energy"
    assert [layer.units for layer in detector.model_.network.layers] == [8]
    np.testing.assert_allclose(detector.model_.normalization.shift, x.mean(axis=0), atol=0.5)


def test_an_ensemble_is_the_mean_of_its_models(x):
    both = recipe(detection={"ensemble": 2, "power": 2.0})
    detector = dv.AnomalyDetector(both, contamination=0.1, random_state=3).fit(x)
    assert isinstance(detector.model_, ModelEnsemble)
    singles = [
        dv.AnomalyDetector(recipe(), contamination=0.1, random_state=3).fit(x).model_.energy(x),
    ]
    energies = [model.energy(x) for model in detector.model_.models]
    np.testing.assert_allclose(energies[0], singles[0], rtol=1e-4)
    assert not np.allclose(energies[0] - np.mean(energies[0]), energies[1] - np.mean(energies[1]))
    excess = np.maximum(np.transpose(energies) - detector.model_.floor_, 0)
    expected = (excess / detector.model_.spread_).mean(axis=1) ** 2
    np.testing.assert_allclose(detector.anomaly_score(x), expected, rtol=1e-4, atol=1e-6)
    assert MEMBER_SEEDS > 100  # so that the seeds of runs next to each other share no model


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "autoencoder", "objective": None, "objective_settings": {}},
        {"model": "dbn", "objective": "cd", "layerwise": True, "learning_rate": (1e-3, 1e-4),
         "model_settings": {"units": [6, 5]}, "objective_settings": {}},
        pytest.param(
            {"detection": {"criterion": "reconstruction_error"}}, marks=pytest.mark.slow
        ),
        {"detection": {"ensemble": 2}},
        {"detection": {"neighbours": 2, "principal": 3, "power": 3.0}},
    ],
)  # fmt: skip
def test_all_that_a_recipe_says_is_done_saved_and_served(x, changes, tmp_path):
    detector = dv.AnomalyDetector(recipe(**changes), contamination=0.1).fit(x)
    loaded = dv.load_detector(detector.save(tmp_path / "detector"))
    assert loaded.model == detector.model
    np.testing.assert_array_equal(loaded.anomaly_score(x), detector.anomaly_score(x))
    served = dv.serving.load(dv.export_saved_model(detector, tmp_path / "served", warmup=()))
    found = served.predict(x)["anomaly_score"]
    np.testing.assert_allclose(found, detector.anomaly_score(x), rtol=1e-3, atol=1e-4)


def test_what_cannot_be_is_refused(x):
    wrong = dv.AnomalyDetector(
        recipe(model="autoencoder", objective=None, objective_settings={}), criterion="energy"
    )
    with pytest.raises(ValueError, match="'autoencoder' has no method energy"):
        wrong.fit(x)
    stream = tf.data.Dataset.from_tensor_slices(x.astype("float32")).batch(50)
    with pytest.raises(TypeError, match="takes arrays only"):
        dv.AnomalyDetector(recipe(detection={"ensemble": 2})).fit(stream)
    assert dv.AnomalyDetector(recipe(), contamination=0.1).fit(stream).threshold_ is not None


def test_files_larger_than_memory_are_trained_on_by_a_recipe(x, tmp_path, monkeypatch):
    monkeypatch.setattr(table_rows, "SMALL", 0)
    lines = [",".join(f"{value:.9f}" for value in row) for row in x]
    (tmp_path / "x.csv").write_text("\n".join(["a,b,c,d", *lines]))
    detector = dv.AnomalyDetector(recipe(), contamination=0.1)
    detector.fit(dv.datasets.open_table(tmp_path / "x.csv"))
    assert [layer.units for layer in detector.model_.network.layers] == [8]
    assert 20 < len(detector.normal_scores_) < 40
    two = dv.AnomalyDetector(recipe(detection={"ensemble": 2}), contamination=0.1)
    with pytest.raises(TypeError, match="ensemble of 2 takes arrays only"):
        two.fit(dv.datasets.open_table(tmp_path / "x.csv"))
