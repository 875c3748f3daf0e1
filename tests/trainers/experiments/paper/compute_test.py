"""Cells computed."""

import dataclasses

import numpy as np
import pytest

import delvm_tf as dv
from delvm_tf.detection.baselines import PCAResidual
from delvm_tf.metrics.anomaly import anomaly_metrics
from trainers.experiments.paper.cells import Cell, Maker
from trainers.experiments.paper.compute import compute, load
from trainers.experiments.paper.tables import BEATS, SCALES, TODAY, Probe, Protocol


def changed(cell, **settings):
    return dataclasses.replace(
        cell, specification=dataclasses.replace(cell.specification, **settings)
    )


@pytest.fixture(scope="module")
def data():
    return load(Maker(BEATS, SCALES["smoke"], 0).protocol, 0)


def test_a_baseline_is_measured_at_the_papers_threshold(beats, data):
    results = compute(beats.baseline("PCA residual (4)"), data)["results"]["1"]
    estimator = PCAResidual(4).fit(data.x_train)
    train, test = -estimator.score_samples(data.x_train), -estimator.score_samples(data.x_test)
    expected = anomaly_metrics(data.y_test, test, train.mean() + train.std())
    assert results == pytest.approx(expected)
    assert compute(beats.baseline("all abnormal"), data)["results"]["1"]["recall"] == 1.0


@pytest.mark.slow
def test_a_depth_of_a_stack_is_what_training_to_that_depth_gives(beats, data):
    """Frozen layers stay as they are, so that one stack serves all depths."""
    deep = compute(beats.stack("sm-delvm", 16), data)
    cell = beats.stack("sm-delvm", 16)
    shallow = dataclasses.replace(
        changed(
            cell, learning_rate=cell.specification.learning_rate[:1],
            model_settings={**cell.specification.model_settings, "units": (16,)},
        ),
        depths=(1,),
    )  # fmt: skip
    assert list(deep["results"]) == ["1", "2"]
    alone = compute(shallow, data)["results"]["1"]
    assert deep["results"]["1"] == pytest.approx(alone, abs=1e-3)
    assert deep["results"]["2"] != pytest.approx(alone, abs=1e-6)


def test_the_numbers_depend_on_the_seed_alone(beats, data):
    cell = beats.one_layer("cd-delvm", 8)
    first, again = (compute(cell, data)["results"] for _ in range(2))
    assert first == again
    other = compute(dataclasses.replace(cell, seed=7), data)["results"]
    assert other != first


def test_the_printed_sign_does_not_warn_here(beats, data, recwarn):
    compute(beats.one_layer("sm-delvm-printed", 8), data)
    assert not [w for w in recwarn if "as_printed" in str(w.message)]


def test_a_run_that_diverges_is_told_and_what_was_trained_before_is_kept(beats, data):
    value = compute(changed(beats.one_layer("sm-delvm", 8), learning_rate=1e9), data)
    assert value["results"] == {}
    assert "diverged" in value["diverged"]
    stack = changed(beats.stack("sm-delvm", 8), learning_rate=(1e-3, 1e12), epochs=2)
    value = compute(stack, data)
    assert list(value["results"]) == ["1"]
    assert "diverged" in value["diverged"]


def test_features_are_scored_at_every_depth(monkeypatch):
    protocol = Protocol("digits", "classification", train_size=200, test_size=100)
    data = load(protocol, 0)
    probe = Probe(l2=(0.1,), epochs=1, minimum_steps=60)
    specification = dv.catalog.Specification(
        "delvm", "score-matching", {"filters": (4, 4), "kernel_size": 3, "scale": 3.0},
        epochs=1, layerwise=True, learning_rate=(1e-3, 1e-4),
    )  # fmt: skip
    cell = Cell(protocol, "sm-delvm", 0, specification, depths=(1, 2), probe=probe)
    results = compute(cell, data)["results"]
    assert results["1"]["features"] == 4 * 16
    assert results["2"]["features"] == 2 * 4 * 16
    assert all(0.5 < r["accuracy"] <= 1 for r in results.values())
    steps = []
    monkeypatch.setattr(dv.catalog.Specification, "fit", lambda *args, **_: steps.append(args))
    untrained = compute(dataclasses.replace(cell, trained=False), data)
    assert steps == []
    assert list(untrained["results"]) == ["1", "2"]
    pixels = compute(Cell(protocol, "raw pixels", 0, probe=probe), data)["results"]["1"]
    assert pixels["features"] == 64
    assert np.isfinite(pixels["accuracy"])
    today = compute(Cell(protocol, TODAY, 0, probe=probe), data)["results"]["1"]
    assert today["features"] == 9 * 800
    assert today["accuracy"] > 0.8
