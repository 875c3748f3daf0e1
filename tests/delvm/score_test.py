"""Files are scored as the model scores their rows."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from pyarrow import parquet

import delvm_tf as dv


@pytest.fixture
def new(fitted, tmp_path):
    """Rows without labels in two files, whose columns have another order, as a table too."""
    table = pd.read_csv(fitted / "machines.csv", sep=";", decimal=",").drop(columns="defekt")
    (tmp_path / "new").mkdir()
    for k, part in enumerate((table[:100], table[100:])):
        part = part[["Druck", "Maschine", "Temperatur (°C)"]]
        part.to_csv(tmp_path / "new" / f"{k}.csv", sep=";", decimal=",", index=False)
    return table


def test_how_tables_are_written_is_known_from_fit(delvm, fitted, new, tmp_path):
    done = delvm("score", fitted / "model", "new/*.csv", "-o", "scores.parquet")
    assert done.returncode == 0, done.stderr
    detector = dv.load_detector(fitted / "model")
    table = parquet.read_table(tmp_path / "scores.parquet")
    expected = detector.anomaly_score(new)
    np.testing.assert_allclose(table["anomaly_score"], expected, rtol=1e-4, atol=1e-4)
    abnormal = int(detector.is_anomaly(new).sum())
    assert f"320 rows: scores.parquet\n{abnormal} of them abnormal" in done.stdout
    assert "scores against those of training: " in done.stdout
    assert "(population stability index " in done.stdout
    assert "files" not in done.stdout


def test_reasons_p_values_and_another_threshold(delvm_json, fitted, new, tmp_path):
    arguments = ["score", fitted / "model", "new", "-o", "scores.csv", "--threshold=-1e9"]
    found = delvm_json(*arguments, "--explain", "2", "--p-values")
    assert found["abnormal"] == found["rows"] == 320
    table = pd.read_csv(tmp_path / "scores.csv")
    assert table.is_anomaly.all()
    assert {*table.reason_1} <= {*new.columns}
    assert (table.contribution_1 >= table.contribution_2).all()
    p_values = dv.load_detector(fitted / "model").p_value(new)
    np.testing.assert_allclose(table.p_value, p_values, atol=1e-6)
    (tmp_path / "scores.csv").unlink()
    delvm_json(*arguments)
    assert not {"p_value", "reason_1"} & {*pd.read_csv(tmp_path / "scores.csv").columns}


def test_an_exported_model_of_arrays(delvm_json, tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
    model = dv.DELVM(dv.networks.ffnn((4,), seed=0))
    model.adapt(x)
    for _ in range(2):
        dv.export_saved_model(model, tmp_path / "saved", warmup=())
    np.savez(tmp_path / "x.npz", x=x)
    arguments = ["score", "saved", "x.npz", "-o", "s.parquet", "--version", "1", "--features"]
    found = delvm_json(*arguments, "--batch-size", "7")
    assert found == {"written": "s.parquet", "rows": 40, "abnormal": None, "damaged": {},
                     "drift": None, "notes": []}  # fmt: skip
    table = parquet.read_table(tmp_path / "s.parquet")
    np.testing.assert_allclose(
        table["reconstruction_error"], model.reconstruction_error(x), rtol=1e-4
    )
    assert len(table["features"][0]) == 4


def test_columns_of_tables_are_told_by_options(delvm, tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 3))
    model = dv.DELVM(dv.networks.ffnn((4,), seed=0))
    model.adapt(x)
    dv.export_saved_model(model, tmp_path / "model", warmup=())
    rows = [f"{k};" + ";".join(map(repr, map(float, row))) + ";1" for k, row in enumerate(x)]
    (tmp_path / "a.csv").write_text("\n".join([";0;1;2;label", *rows]))
    command = ["score", "model", "a.csv", "-o", "scores.parquet", "--separator", ";"]
    result = delvm(*command)
    assert result.returncode == 1
    assert "pass --header if it names the columns, --no-header if" in result.stderr
    told = ("--header", "--index", "#0")
    for options in (("--label", "label"), ("--drop", "#-1"), ("--columns", "0", "1", "2")):
        result = delvm(*command, *told, *options)
        assert result.returncode == 0, result.stderr
        assert "note: the model has no names of columns" in result.stderr
        table = parquet.read_table(tmp_path / "scores.parquet")
        expected = model.reconstruction_error(x)
        np.testing.assert_allclose(table["reconstruction_error"], expected, rtol=1e-4)
        assert table["row"].to_pylist() == list(range(40))
        (tmp_path / "scores.parquet").unlink()


def test_a_detector_that_is_not_served_says_what_to_do(delvm, tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 3))
    mean = dv.detection.DistanceToMean().fit(x)
    dv.AnomalyDetector(mean, contamination=0.1).fit(x).save(tmp_path / "detector")
    np.savetxt(tmp_path / "x.csv", x, delimiter=",")
    done = delvm("score", "detector", "x.csv", "-o", "s.csv")
    assert done.returncode == 1
    assert "delvm export detector -o saved_models/mine" in done.stderr


@pytest.mark.parametrize(
    ("content", "more"),
    [
        ("Maschine,Druck\nA1,1\n", ()),
        ("Maschine;Druck;Temperatur (°C)\nA1;1,5;2,5\nA1;x;2,5\n", ()),
        ("Maschine;Druck;Temperatur (°C)\nA1;1,5;2,5\n", ("--threshold", "nan")),
    ],
)
def test_no_bar_is_shown_before_an_error_of_the_input(delvm, fitted, tmp_path, content, more):
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    done = delvm("score", fitted / "model", "a.csv", "-o", "s.csv", *more)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")


def test_no_bar_is_shown_before_an_error_of_fit(delvm, fitted, tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")  # too few rows
    done = delvm("fit", "a.csv", "-o", "m")
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    assert lines[0].startswith("error: ")


def test_images_for_a_model_of_tables_are_called_so(delvm, fitted, tmp_path):
    image = tf.io.encode_png(np.zeros((9, 9, 1), np.uint8)).numpy()
    (tmp_path / "a.png").write_bytes(image)
    done = delvm("score", fitted / "model", "a.png", "-o", "s.csv")
    assert done.returncode == 1
    assert "these are images, and the model takes rows of other values" in done.stderr
    assert "--separator" not in done.stderr


def test_damaged_files_stop_the_run_or_are_told(delvm, delvm_json, fitted, new, tmp_path):
    (tmp_path / "new" / "2.csv").write_text("Maschine,Druck\nA1,1\n")
    arguments = ["score", fitted / "model", "new/*.csv", "-o", "s.csv"]
    done = delvm(*arguments)
    assert done.returncode == 1
    assert "2.csv" in done.stderr
    assert "the files are read with --separator ';' and --decimal ',', as at fit" in done.stderr
    found = delvm_json(*arguments, "--skip-damaged")
    assert found["rows"] == 320
    assert [*found["damaged"]] == ["new/2.csv"]


def test_an_interrupted_run_goes_on(delvm, fitted, new, tmp_path, monkeypatch):
    from delvm_tf.serving import scoring

    monkeypatch.setattr(scoring, "_PART_FILES", 1)
    arguments = ["score", fitted / "model", "new/*.csv", "-o", "s.csv"]
    write, parts = scoring._write, []

    def interrupted(tables, path):
        parts.append(path.name)
        if len(parts) == 2:
            raise KeyboardInterrupt
        write(tables, path)

    monkeypatch.setattr(scoring, "_write", interrupted)
    done = delvm(*arguments)
    assert done.returncode == 130
    assert "interrupted; the same command goes on after the last finished part" in done.stderr
    assert not (tmp_path / "s.csv").exists()
    assert delvm(*arguments).returncode == 0
    assert parts == ["0.parquet", "1.parquet", "1.parquet"]
    assert not (tmp_path / "s.csv.partial").exists()
