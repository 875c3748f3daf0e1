"""Files of every kind are scored as the model scores their rows; killed runs go on."""

import errno
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import tensorflow as tf
from pyarrow import csv, parquet

import delvm_tf as dv
from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams import TableOptions, write_tfrecords
from delvm_tf.serving import load, scoring
from delvm_tf.serving.scoring import score_files


def exported(shape, base):
    x = np.random.default_rng(0).integers(0, 256, size=(90, *shape)).astype(np.float32)
    network = dv.networks.ffnn((4,), seed=0) if len(shape) == 1 else dv.networks.cnn((2,), 3)
    model = dv.DELVM(network, scale=0.5)
    model.adapt(x)
    detector = dv.AnomalyDetector(model, "mean_std").fit(x)
    return detector, x, load(dv.export_saved_model(detector, base, warmup=()))


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return exported((6,), tmp_path_factory.mktemp("rows"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return exported((5, 4, 1), tmp_path_factory.mktemp("pictures"))


def write_npz(folder, x, labels):
    for k, part in enumerate(np.array_split(x, 3)):
        np.savez(folder / f"{k}.npz", x=part)
    return "*.npz"


def write_csv(folder, x, labels):
    for k, part in enumerate(np.array_split(x, 3)):
        flat = part.reshape(len(part), -1)
        names = ",".join([f"v{i}" for i in range(flat.shape[1])] + ["label"])
        table = np.column_stack([flat, np.zeros(len(flat))])
        np.savetxt(folder / f"{k}.csv", table, delimiter=",", header=names, comments="", fmt="%.9g")
    return "*.csv"


def write_columns(folder, x, labels):
    flat = x.reshape(len(x), -1)
    table = {f"v{i}": flat[:, i] for i in range(flat.shape[1])} | {"y": np.zeros(len(x), int)}
    parquet.write_table(pyarrow.table(table), folder / "a.parquet")
    return "a.parquet"


def write_lists(folder, x, labels):
    table = pyarrow.table({"x": list(x.reshape(len(x), -1))})
    parquet.write_table(table, folder / "b.parquet", row_group_size=17)
    return "b.parquet"


def write_records(folder, x, labels):
    write_tfrecords(np.array_split(x, 4), folder, rows_per_file=40)
    return "*.tfrecord"


def write_images(folder, x, labels):
    for k, image in enumerate(x):
        path = folder / "deep" / f"{k:03d}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(tf.io.encode_png(image.astype(np.uint8)).numpy())
    return "**/*.png"


TABLES = {write_csv: TableOptions(drop="label"), write_columns: TableOptions(drop="y")}


@pytest.mark.parametrize("write", [write_npz, write_csv, write_columns, write_lists, write_records])
@pytest.mark.parametrize("batch_size", [7, 256])
def test_every_kind_of_file_gives_the_scores_of_its_rows(rows, tmp_path, write, batch_size):
    detector, x, served = rows
    pattern = write(tmp_path, x, None)
    output = tmp_path / "out" / "scores.parquet"
    output.parent.mkdir()
    summary = score_files(
        served, str(tmp_path / pattern), output, batch_size, features=True, table=TABLES.get(write)
    )
    table = parquet.read_table(output)
    assert table.column_names[:2] == ["file", "row"]
    scores = detector.anomaly_score(x)
    np.testing.assert_allclose(table["anomaly_score"], scores, rtol=1e-5)
    np.testing.assert_array_equal(table["is_anomaly"], scores > detector.threshold_)
    features = np.array(table["features"].to_pylist())
    np.testing.assert_allclose(features, detector.model.features(x), rtol=1e-4, atol=1e-4)
    assert summary.rows == 90
    assert summary.abnormal == int(detector.is_anomaly(x).sum())
    assert summary.drift.index < 1e-3
    files = table["file"].to_pylist()
    for file in set(files):
        own = [r for f, r in zip(files, table["row"].to_pylist(), strict=True) if f == file]
        assert own == list(range(len(own)))
    assert [p.name for p in output.parent.iterdir()] == ["scores.parquet"]


@pytest.mark.parametrize("write", [write_images, write_npz, write_csv])
def test_images_and_rows_of_pixels(pictures, tmp_path, write):
    detector, x, served = pictures
    pattern = write(tmp_path, x, None)
    score_files(served, str(tmp_path / pattern), tmp_path / "s.parquet", table=TABLES.get(write))
    table = parquet.read_table(tmp_path / "s.parquet")
    np.testing.assert_allclose(table["anomaly_score"], detector.anomaly_score(x), rtol=1e-5)


def test_a_table_of_text(rows, tmp_path):
    detector, x, served = rows
    score_files(served, str(tmp_path / write_npz(tmp_path, x, None)), tmp_path / "scores.csv")
    table = csv.read_csv(tmp_path / "scores.csv")
    np.testing.assert_allclose(table["anomaly_score"], detector.anomaly_score(x), rtol=1e-5)
    assert table["is_anomaly"].to_pylist() == detector.is_anomaly(x).tolist()
    first = ["file", "row", "anomaly_score", "is_anomaly", "p_value", "threshold"]
    assert table.column_names == [*first, "reconstruction_error"]


def test_an_interrupted_run_goes_on_with_what_is_missing(rows, tmp_path, monkeypatch):
    _, x, served = rows
    pattern = str(tmp_path / write_npz(tmp_path, x, None))
    monkeypatch.setattr(scoring, "_PART_FILES", 1)
    score_files(served, pattern, tmp_path / "whole.parquet")
    output = tmp_path / "scores.parquet"

    def stop(done, all):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_files(served, pattern, output, progress=stop)
    assert not output.exists()
    asked = []
    predict = served.predict
    monkeypatch.setattr(served, "predict", lambda x, *a: asked.append(len(x)) or predict(x, *a))
    score_files(served, pattern, output)
    assert asked == [30]
    assert output.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_progress_begins_when_rows_are_scored(rows, tmp_path, monkeypatch):
    _, x, served = rows
    pattern = str(tmp_path / write_npz(tmp_path, x, None))
    monkeypatch.setattr(scoring, "_PART_FILES", 2)
    told = []
    score_files(served, pattern, tmp_path / "s.parquet", progress=lambda *n: told.append(n))
    assert told == [(0, 3), (2, 3), (2, 3), (3, 3)]
    np.savez(tmp_path / "0.npz", x=x[:, :2])
    told.clear()
    with pytest.raises(ContentsError, match=r"0\.npz"):
        score_files(served, pattern, tmp_path / "t.parquet", progress=lambda *n: told.append(n))
    assert told == []


def test_another_input_begins_anew(rows, tmp_path, monkeypatch):
    _, x, served = rows
    pattern = str(tmp_path / write_npz(tmp_path, x, None))

    def stop(done, all):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_files(served, pattern, tmp_path / "s.parquet", progress=stop)
    np.savez(tmp_path / "0.npz", x=x[:5])
    assert score_files(served, pattern, tmp_path / "s.parquet").rows == 65


def test_damage_stops_or_is_skipped(rows, tmp_path):
    _, x, served = rows
    pattern = str(tmp_path / write_npz(tmp_path, x, None))
    (tmp_path / "1.npz").write_bytes((tmp_path / "1.npz").read_bytes()[:300])
    with pytest.raises(ContentsError, match=r"1\.npz cannot be read"):
        score_files(served, pattern, tmp_path / "s.parquet")
    summary = score_files(served, pattern, tmp_path / "s.parquet", skip_damaged=True)
    assert summary.rows == 60
    assert [Path(f).name for f in summary.damaged] == ["1.npz"]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((3, 5)), r"rows have shape \(5,\), expected \(6,\)"),
        (np.zeros((0, 6)), "has no rows"),
        (np.array([[np.nan] * 6]), "row 0 has NaN or infinite values"),
        (np.array([["a"] * 6]), "holds values of type"),
    ],
)
def test_rows_that_do_not_fit_are_named(rows, tmp_path, x, message):
    np.savez(tmp_path / "a.npz", x=x)
    with pytest.raises(ContentsError, match=rf"a\.npz.*{message}"):
        score_files(rows[2], str(tmp_path / "*.npz"), tmp_path / "s.parquet")
    assert not (tmp_path / "s.parquet").exists()


def test_images_for_a_model_of_rows_are_named(rows, tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 5, 4, 1)))
    with pytest.raises(ContentsError, match="these are images, and the model takes rows of other"):
        score_files(rows[2], str(tmp_path / "a.npz"), tmp_path / "s.parquet")


def test_wrong_tables_are_refused(rows, tmp_path):
    served = rows[2]
    for table, message in (
        ({"a": ["x"], "b": [1.0]}, "column 'a' holds string, not numbers"),
        ({"a": [1.0, None], "b": [1.0, 2.0]}, "row 1, column 'a', is missing"),
        ({"x": [[1.0], [2.0, 3.0]]}, "lists of 'x' must be all of one length"),
    ):
        parquet.write_table(pyarrow.table(table), tmp_path / "t.parquet")
        with pytest.raises(ContentsError, match=message):
            score_files(served, str(tmp_path / "t.parquet"), tmp_path / "s.parquet")


def test_wrong_requests_are_refused(rows, tmp_path):
    served = rows[2]
    with pytest.raises(ValueError, match="the output must end in"):
        score_files(served, "*.npz", tmp_path / "scores.txt")
    with pytest.raises(ValueError, match=r"features need \.parquet"):
        score_files(served, "*.npz", tmp_path / "scores.csv", features=True)
    with pytest.raises(FileNotFoundError, match="no file fits"):
        score_files(served, str(tmp_path / "*.npz"), tmp_path / "s.parquet")


def test_only_a_table_of_scores_is_replaced(rows, tmp_path):
    _, x, served = rows
    np.savez(tmp_path / "a.npz", x=x)
    for name, theirs in (
        ("s.csv", b"file,row,price\n1,2,3\n"), ("s.parquet", b"mine"), ("t.csv", b"a,b\n1,2\n"),
    ):  # fmt: skip
        output = tmp_path / name
        output.write_bytes(theirs)
        with pytest.raises(FileExistsError, match=f"{name} exists, and this program did not"):
            score_files(served, str(tmp_path / "*.npz"), output)
        assert output.read_bytes() == theirs
        output.unlink()
        first = score_files(served, str(tmp_path / "*.npz"), output)
        second = score_files(served, str(tmp_path / "*.npz"), output)
        assert first.rows == second.rows == len(x)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "s.csv", "s.parquet", "t.csv"]


def test_a_users_folder_of_the_name_of_the_parts_is_refused(rows, tmp_path):
    _, x, served = rows
    np.savez(tmp_path / "a.npz", x=x)
    theirs = tmp_path / "s.csv.partial"
    theirs.mkdir()
    (theirs / "0.json").write_text("{}")
    with pytest.raises(FileExistsError, match="not written by this program"):
        score_files(served, str(tmp_path / "*.npz"), tmp_path / "s.csv")
    assert (theirs / "0.json").read_text() == "{}"


def test_a_full_disk_loses_no_finished_part(rows, tmp_path, monkeypatch):
    _, x, served = rows
    pattern = str(tmp_path / write_npz(tmp_path, x, None))
    monkeypatch.setattr(scoring, "_PART_FILES", 1)
    old = tmp_path / "s.parquet"
    score_files(served, pattern, old)
    before = old.read_bytes()
    np.savez(tmp_path / "9.npz", x=x[:5])
    write = parquet.ParquetWriter.write_table
    written = []

    def full(self, table, *args, **kwargs):
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(table)
        return write(self, table, *args, **kwargs)

    monkeypatch.setattr(parquet.ParquetWriter, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        score_files(served, pattern, old)
    assert old.read_bytes() == before
    monkeypatch.setattr(parquet.ParquetWriter, "write_table", write)
    asked = []
    predict = served.predict
    monkeypatch.setattr(served, "predict", lambda x, *a: asked.append(len(x)) or predict(x, *a))
    score_files(served, pattern, old)
    assert len(asked) < 4
    assert not list(tmp_path.glob("*.partial*"))


def test_the_scores_are_not_among_the_files_to_score(rows, tmp_path):
    _, x, served = rows
    np.savetxt(tmp_path / "a.csv", x, delimiter=",", header="a,b,c,d,e,f", comments="")
    output = tmp_path / "scores.csv"
    score_files(served, tmp_path / "*.csv", output)
    before = output.read_bytes()
    with pytest.raises(ValueError, match=r"scores\.csv fits the pattern .*\*\.csv of the files"):
        score_files(served, tmp_path / "*.csv", output)
    assert output.read_bytes() == before
