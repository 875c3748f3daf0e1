"""The benchmark of detectors runs, stops what takes too long, and counts arithmetic rightly."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from csv_rows import csv_rows
from detector_growth import data, figures, step, workers
from steps import training_step

from delvm_tf.detection import LevelDetector

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "detectors.py"


@pytest.mark.slow
def test_every_method_is_timed_at_every_size(tmp_path):
    sizes = ["--rows", "200", "400", "--columns", "3", "--beside", "200", "4"]
    options = ["--limit", "100", "--rounds", "1", *sizes, "--steps", "150"]
    folder = tmp_path / "detectors"
    result = subprocess.run(
        [sys.executable, PROGRAM, *options, "--output", folder / "results.md"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    found = csv_rows(folder / "results.csv")
    measured = {(r["against"], r["rows"], r["columns"]) for r in found}
    assert measured == {("rows", "200", "4"), ("rows", "400", "4"), ("columns", "200", "3")}
    assert {"noise levels", "neighbours (5)", "isolation forest"} <= {r["method"] for r in found}
    ours = [r for r in found if r["method"] == "noise levels"]
    assert all(
        float(r["fit, seconds"]) > 0 and float(r["score, seconds, times ours"]) == 1 for r in ours
    )
    (taken,) = csv_rows(folder / "step.csv")
    assert taken["Mflop of products"] == taken["in the graph"]
    assert 0 < float(taken["share of the rate"].rstrip(" %")) < 150
    report = (folder / "results.md").read_text()
    assert " ".join(options) in report
    for name in ("rows.png", "columns.png"):
        assert name in report
        assert (folder / name).stat().st_size > 5000


@pytest.mark.slow
def test_a_fit_that_takes_too_long_is_stopped():
    worker = workers.Worker("isolation forest", limit=0.0)
    try:
        assert worker.measure(1000, 3) == workers.Taken(outcome="over the limit")
    finally:
        worker.close()


@pytest.mark.parametrize("columns", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_products_of_a_step_are_those_of_the_graph(columns, rng):
    clock = step.StepClock()
    LevelDetector(steps=2).fit(rng.normal(size=(300, columns)), callbacks=[clock])
    batch = tf.zeros((step.BATCH, columns))
    products, known = step.operations_of_graph(training_step(clock.model), batch)
    assert step.operations_of_products(clock.model) == products
    assert products < known < 1.2 * products


def test_time_of_a_step_is_told_from_several():
    clock = step.StepClock()
    clock.times = [(49, 9.0, 9.0), (99, 10.0, 9.5), (149, 11.0, 10.0)]
    assert clock.seconds() == pytest.approx((0.02, 0.01))
    clock.times = []
    assert np.isnan(clock.seconds()).all()


def test_sizes_after_one_that_was_stopped_are_left_out():
    second = workers.Seconds(1.0, 2.0)
    series = figures.Series("rows", [(10, 3), (100, 3), (1000, 3)])
    whole = workers.Taken(second, second, second)
    found = {("noise levels", *shape): [whole] for shape in series.sizes}
    half = workers.Taken(workers.Seconds(3.0, 3.0), outcome=workers.OVER)
    found |= {("slow", *shape): [half if shape[0] == 100 else whole] for shape in series.sizes}
    made = figures.Figures(["noise levels", "slow"], found)
    fit, score = (made.table(name, "seconds", series).iloc[1].tolist() for name in ("fit", "score"))
    assert fit == ["slow", "1 (1)", "3 (3)", "left out"]
    assert score == ["slow", "1 (1)", "over the limit", "left out"]
    assert made.rates(series).iloc[1].tolist() == ["slow", "10000", *score[2:]]
    assert made.lines("score", series)["slow"] == ([10], [1.0], 100)
    outcomes = [row["outcome"] for row in made.rows(series)]
    assert outcomes == [*("" for _ in range(4)), "over the limit", "left out"]


def test_columns_are_normal_rounded_and_heavy_tailed():
    x = data.mixed_rows(2000, 6)
    np.testing.assert_array_equal(x, data.mixed_rows(2000, 6))
    assert not np.array_equal(x, data.mixed_rows(2000, 6, part=1))
    assert np.array_equal(x[:, 1::3], np.round(x[:, 1::3]))
    tails = np.abs(x).max(axis=0) / x.std(axis=0)
    assert tails[[2, 5]].min() > 8 > tails[[0, 3]].max()
