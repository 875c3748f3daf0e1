from pathlib import Path

import numpy as np
from pyarrow import parquet

import delvm_tf as dv

PROGRAM = Path(__file__).parents[2] / "trainers" / "score.py"


def test_it_scores_the_bundled_heartbeats(run_here, tmp_path):
    data = dv.datasets.load("ecg5000", protocol="standard", seed=0)
    model = dv.DELVM(dv.networks.ffnn((16,), seed=0), scale=0.35)
    model.adapt(data.x_train)
    detector = dv.AnomalyDetector(model, "mean_std").fit(data.x_train)
    dv.export_saved_model(detector, tmp_path / "model", warmup=())
    for k, part in enumerate(np.array_split(data.x_test, 3)):
        np.savetxt(tmp_path / f"{k}.csv", part, delimiter=",")
    command = ["--model", str(tmp_path / "model"), "--input", str(tmp_path / "*.csv")]
    result = run_here(PROGRAM, *command, "--output", str(tmp_path / "scores.parquet"))
    assert result.returncode == 0, result.stdout
    abnormal = int(detector.is_anomaly(data.x_test).sum())
    assert f"{len(data.x_test)} rows" in result.stdout
    assert f"{abnormal} of them abnormal" in result.stdout
    assert "population stability index" in result.stdout
    table = parquet.read_table(tmp_path / "scores.parquet")
    expected = detector.anomaly_score(data.x_test)
    np.testing.assert_allclose(table["anomaly_score"], expected, rtol=1e-4)


def test_a_model_that_is_none_is_said(run_here, tmp_path):
    result = run_here(PROGRAM, "--model", "nowhere", "--input", "x", "--output", "y.csv")
    assert result.returncode == 1
    assert "nowhere is no folder" in result.stdout


def test_columns_of_tables_are_told_by_options(run_here, tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 3))
    model = dv.DELVM(dv.networks.ffnn((4,), seed=0))
    model.adapt(x)
    dv.export_saved_model(model, tmp_path / "model", warmup=())
    rows = [f"{k};" + ";".join(map(repr, map(float, row))) + ";1" for k, row in enumerate(x)]
    (tmp_path / "a.csv").write_text("\n".join([";0;1;2;label", *rows]))
    command = ["--model", str(tmp_path / "model"), "--input", str(tmp_path / "a.csv"), "--output"]
    command += [str(tmp_path / "scores.parquet")]
    result = run_here(PROGRAM, *command, "--separator", ";")
    assert result.returncode == 1
    assert "--header or --no-header" in result.stdout
    told = ("--separator", ";", "--header", "--index", "#0")
    for options in (("--label", "label"), ("--drop", "#-1"), ("--columns", "0", "1", "2")):
        result = run_here(PROGRAM, *command, *told, *options)
        assert result.returncode == 0, result.stdout
        assert "note: the model has no names of columns" in result.stdout
        table = parquet.read_table(tmp_path / "scores.parquet")
        expected = model.reconstruction_error(x)
        np.testing.assert_allclose(table["reconstruction_error"], expected, rtol=1e-4)
        assert table["row"].to_pylist() == list(range(40))
        (tmp_path / "scores.parquet").unlink()
