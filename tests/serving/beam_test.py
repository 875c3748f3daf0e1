"""Pipelines give the scores that the model gives, and those that the program for files writes.

They run on Beam's local runner, in an environment of their own: `make test-beam`.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas
import pytest

pytest.importorskip("apache_beam", reason="Apache Beam is not installed here; see make test-beam")

import apache_beam as beam
from apache_beam.io.filesystem import FileMetadata
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.localfilesystem import LocalFileSystem
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that
from pyarrow import parquet

import delvm_tf as dv
from delvm_tf.datasets.streams import TableOptions
from delvm_tf.serving import DamagedModelError, load
from delvm_tf.serving.beam import Score, ScoreFiles
from delvm_tf.serving.scoring import score_files


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(3, 2, size=(300, 6)).astype(np.float32)
    model = dv.DELVM(dv.networks.ffnn((4,), seed=0), normalization="zscore")
    model.adapt(x)
    detector = dv.AnomalyDetector(model, "mean_std").fit(x)
    folder = tmp_path_factory.mktemp("models")
    dv.export_saved_model(detector, folder)
    return folder, detector, x


def run(build, check):
    with TestPipeline(runner="FnApiRunner") as pipeline:
        assert_that(build(pipeline), check)


def collected(into):
    def check(elements):
        into.append(list(elements))

    return check


def test_rows_are_scored_as_the_model_scores_them(exported):
    folder, detector, x = exported

    def check(pairs):
        assert len(pairs) == len(x)
        served = load(folder).predict(x)
        for key, outputs in pairs:
            assert set(outputs) == set(served)
            assert isinstance(outputs["is_anomaly"], bool)
            for name, values in served.items():
                np.testing.assert_allclose(outputs[name], values[key], rtol=1e-5, atol=1e-5)
        flags = [outputs["is_anomaly"] for _, outputs in sorted(pairs, key=lambda pair: pair[0])]
        np.testing.assert_array_equal(flags, detector.is_anomaly(x))

    run(lambda p: p | beam.Create(list(enumerate(x))) | Score(str(folder), batch_size=32), check)


def test_chosen_outputs_of_a_chosen_signature(exported):
    folder, detector, x = exported
    score = Score(str(folder), version=1, signature="energy", outputs=["energy"])

    def check(pairs):
        energies = np.asarray(detector.model.energy(x))
        for key, outputs in pairs:
            assert list(outputs) == ["energy"]
            np.testing.assert_allclose(outputs["energy"], energies[key], rtol=1e-5, atol=1e-5)

    run(lambda p: p | beam.Create(list(enumerate(x))) | score, check)


def test_another_threshold_decides(exported, tmp_path):
    folder, detector, x = exported
    threshold = float(np.median(detector.anomaly_score(x)))
    expected = detector.anomaly_score(x) > threshold
    assert not np.array_equal(expected, detector.is_anomaly(x))

    def check(pairs):
        assert len(pairs) == len(x)
        for key, outputs in pairs:
            assert outputs["is_anomaly"] == expected[key]
            assert outputs["threshold"] == np.float32(threshold)

    score = Score(str(folder), threshold=threshold)
    run(lambda p: p | beam.Create(list(enumerate(x))) | score, check)
    np.savez(tmp_path / "a.npz", x=x)
    files = ScoreFiles(f"{tmp_path}/*.npz", str(folder), threshold=threshold)
    run(lambda p: p | files, lambda rows: check([(row["row"], row) for row in rows]))


BAD = {"shape": np.zeros(5), "nan": np.r_[np.nan, np.zeros(5)], "words": np.array(["a"] * 6)}


def test_refused_rows_are_given_apart_with_the_reason(exported):
    folder, _, x = exported
    pairs = [*((f"good {k}", row) for k, row in enumerate(x[:20])), *BAD.items()]
    with TestPipeline(runner="FnApiRunner") as pipeline:
        result = pipeline | beam.Create(pairs) | Score(str(folder), skip_refused=True)

        def scored(found):
            assert {key for key, _ in found} == {f"good {k}" for k in range(20)}

        def refused(found):
            reasons = dict(found)
            assert set(reasons) == set(BAD)
            assert "shape" in reasons["shape"]
            assert "NaN" in reasons["nan"]
            assert "number" in reasons["words"]

        assert_that(result["scores"], scored, label="scored")
        assert_that(result["refused"], refused, label="refused")


@pytest.mark.parametrize("bad", BAD)
def test_otherwise_a_refused_row_stops_the_pipeline_with_its_key(exported, bad):
    folder, *_ = exported
    with pytest.raises(Exception, match=f"row '{bad}': "), TestPipeline("FnApiRunner") as pipeline:
        pipeline | beam.Create([(bad, BAD[bad])]) | Score(str(folder))


def write(folder, x):
    np.savez(folder / "a.npz", x=x[:100])
    np.savez(folder / "b.npz", x=x[100:])
    return str(folder / "*.npz")


def test_files_are_scored_as_the_program_scores_them(exported, tmp_path):
    folder, _, x = exported
    pattern = write(tmp_path, x)
    score_files(load(folder), pattern, tmp_path / "table.parquet", features=True)
    expected = {
        (row["file"], row["row"]): row
        for row in parquet.read_table(tmp_path / "table.parquet").to_pylist()
    }

    def check(rows):
        assert len(rows) == len(expected) == 300
        for row in rows:
            other = expected[row["file"], row["row"]]
            assert set(row) == set(other)
            for name, value in other.items():
                if name == "file":
                    continue
                np.testing.assert_allclose(row[name], value, rtol=1e-5, atol=1e-5)

    run(lambda p: p | ScoreFiles(pattern, str(folder), features=True, batch_size=50), check)


def test_a_damaged_file_stops_the_pipeline_or_is_given_apart(exported, tmp_path):
    folder, _, x = exported
    pattern = write(tmp_path, x)
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Exception, match=r"a\.npz"), TestPipeline("FnApiRunner") as pipeline:
        pipeline | ScoreFiles(pattern, str(folder))
    with TestPipeline(runner="FnApiRunner") as pipeline:
        result = pipeline | ScoreFiles(pattern, str(folder), skip_damaged=True)

        def scored(rows):
            assert sorted(row["row"] for row in rows) == list(range(200))
            assert {row["file"] for row in rows} == {str(tmp_path / "b.npz")}

        def refused(pairs):
            ((file, reason),) = pairs
            assert file == str(tmp_path / "a.npz")
            assert "cannot be read" in reason

        assert_that(result["scores"], scored, label="scored")
        assert_that(result["refused"], refused, label="refused")


class FarAway(LocalFileSystem):
    """Local files under `far://`, to which no local path leads."""

    @classmethod
    def scheme(cls):
        return "far"

    def match(self, patterns, limits=None):
        results = super().match([path.removeprefix("far:/") for path in patterns], limits)
        for result in results:
            result.metadata_list = [
                FileMetadata(
                    f"far:/{found.path}", found.size_in_bytes, found.last_updated_in_seconds
                )
                for found in result.metadata_list
            ]
        return results

    def open(self, path, *args, **kwargs):
        return super().open(path.removeprefix("far:/"), *args, **kwargs)


def test_a_pattern_may_be_relative(exported, tmp_path, monkeypatch):
    folder, _, x = exported
    write(tmp_path, x)
    monkeypatch.chdir(tmp_path)

    def check(rows):
        assert {row["file"] for row in rows} == {str(tmp_path / n) for n in ("a.npz", "b.npz")}

    run(lambda p: p | ScoreFiles("*.npz", str(folder)), check)


def test_models_and_files_may_be_far_away(exported, tmp_path):
    folder, detector, x = exported
    pattern = write(tmp_path, x)
    assert FileSystems.get_scheme("far://a") == "far"

    def check(rows):
        assert len(rows) == 300
        errors = np.asarray(detector.model.reconstruction_error(x))
        for row in rows:
            assert row["file"].startswith(f"far:/{tmp_path}/")
            k = row["row"] + (100 if row["file"].endswith("b.npz") else 0)
            np.testing.assert_allclose(row["reconstruction_error"], errors[k], rtol=1e-5)

    run(lambda p: p | ScoreFiles(f"far:/{pattern}", f"far:/{folder}"), check)


def test_wrong_settings_are_told_at_once(exported, tmp_path):
    folder, *_ = exported
    with pytest.raises(ValueError, match="batch_size must be positive, got 0"):
        Score(str(folder), batch_size=0)
    with pytest.raises(FileNotFoundError, match="has no version 9"):
        ScoreFiles("*.npz", str(folder), version=9)
    score = Score(str(folder), outputs=["nonsense"])
    with pytest.raises(Exception, match="has no output nonsense"):
        run(lambda p: p | beam.Create([(0, np.zeros(6))]) | score, print)
    with pytest.raises(ValueError, match="the threshold must be a finite number"):
        ScoreFiles("*.npz", str(folder), threshold=float("nan"))
    score = Score(str(folder), signature="energy", threshold=1.0)
    with pytest.raises(Exception, match="and 'energy' has none"):
        run(lambda p: p | beam.Create([(0, np.zeros(6))]) | score, print)
    score = Score(str(folder), signature="odd")
    with pytest.raises(Exception, match=r"no signature 'odd' of rows; the model has"):
        run(lambda p: p | beam.Create([(0, np.zeros(6))]) | score, print)


def test_a_damaged_model_is_refused(exported, tmp_path):
    folder, *_ = exported
    shutil.copytree(folder, tmp_path / "models")
    (graph,) = tmp_path.glob("models/1/saved_model.pb")
    graph.write_bytes(graph.read_bytes()[:-1])
    with pytest.raises(DamagedModelError, match="altered"):
        ScoreFiles("*.npz", str(tmp_path / "models"))


def test_the_program_writes_tables(exported, tmp_path):
    folder, detector, x = exported
    pattern = write(tmp_path, x)
    (tmp_path / "c.npz").write_bytes(b"no archive")
    program = Path(__file__).parents[2] / "trainers" / "score_beam.py"
    command = [
        sys.executable, str(program), "--model", str(folder), "--input", pattern, "--features",
        "--output", str(tmp_path / "scores"), "--skip-damaged", "--threshold=-1", "--",
        "--runner", "FnApiRunner",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [
        row for file in tmp_path.glob("scores-*.parquet")
        for row in parquet.read_table(file).to_pylist()
    ]  # fmt: skip
    assert len(rows) == 300
    errors = np.asarray(detector.model.reconstruction_error(x))
    features = np.asarray(detector.model.features(x))
    for row in rows:
        k = row["row"] + (100 if row["file"].endswith("b.npz") else 0)
        np.testing.assert_allclose(row["reconstruction_error"], errors[k], rtol=1e-5)
        np.testing.assert_allclose(row["features"], features[k], rtol=1e-5, atol=1e-5)
        assert row["is_anomaly"]
    (refused,) = tmp_path.glob("scores-refused-*.txt")
    assert "c.npz" in refused.read_text()


def test_no_file_and_unknown_files_are_errors(exported, tmp_path):
    folder, *_ = exported
    with pytest.raises(Exception, match="Empty match"), TestPipeline("FnApiRunner") as pipeline:
        pipeline | ScoreFiles(str(tmp_path / "*.csv"), str(folder))
    (tmp_path / "a.txt").write_text("1,2,3")
    with pytest.raises(Exception, match="unknown kind"), TestPipeline("FnApiRunner") as pipeline:
        pipeline | ScoreFiles(str(tmp_path / "*.txt"), str(folder))


def test_columns_are_matched_by_name(tmp_path, caplog):
    x = np.random.default_rng(0).normal([3, -40, 900], [1, 5, 70], (50, 3))
    model = dv.DELVM(dv.networks.ffnn((4,), seed=0), normalization="zscore")
    model.adapt(x)
    model.normalization.feature_names = ("a", "b", "c")
    dv.export_saved_model(model, tmp_path / "models", warmup=())
    rows = [",".join(map(repr, map(float, (row[2], row[0], 7, row[1])))) for row in x]
    (tmp_path / "a.csv").write_text("\n".join(["c,a,other,b", *rows]))

    def check(rows):
        errors = np.asarray(model.reconstruction_error(x))
        assert sorted(row["row"] for row in rows) == list(range(50))
        for row in rows:
            np.testing.assert_allclose(row["reconstruction_error"], errors[row["row"]], rtol=1e-4)

    run(lambda p: p | ScoreFiles(f"{tmp_path}/*.csv", str(tmp_path / "models")), check)
    assert "no such columns: other" in caplog.text
    (tmp_path / "a.csv").write_text("0,1,2,3\n" + "\n".join(rows))
    folder = str(tmp_path / "models")
    with pytest.raises(Exception, match="pass header=True"):
        run(lambda p: p | ScoreFiles(f"{tmp_path}/*.csv", folder), check)
    table = TableOptions(header=True, columns=[1, 3, 0])
    with pytest.raises(Exception, match="it lacks 'a', 'b', 'c' and has '1', '3', '0' besides"):
        run(lambda p: p | ScoreFiles(f"{tmp_path}/*.csv", folder, table=table), check)
    (tmp_path / "a.csv").write_text("\n".join(rows))
    table = TableOptions(header=False, columns=[1, 3, 0])
    run(lambda p: p | ScoreFiles(f"{tmp_path}/*.csv", folder, table=table), check)

    served = [{"b": row[1], "c": row[2], "a": row[0]} for row in x]
    pairs = [*enumerate(served), ("bad", {"a": 1.0}), ("masked", np.ma.masked_greater(x[0], 3))]
    with TestPipeline(runner="FnApiRunner") as pipeline:
        result = pipeline | beam.Create(pairs) | Score(folder, skip_refused=True)

        def scored(found):
            errors = np.asarray(model.reconstruction_error(x))
            assert len(found) == 50
            for key, outputs in found:
                np.testing.assert_allclose(outputs["reconstruction_error"], errors[key], rtol=1e-4)

        def refused(found):
            reasons = dict(found)
            assert "has no b, c" in reasons["bad"]
            assert "masked" in reasons["masked"]

        assert_that(result["scores"], scored, label="scored")
        assert_that(result["refused"], refused, label="refused")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A detector of mixed columns, its folder, and new rows as a table and as dicts."""
    rng = np.random.default_rng(0)

    def table(n):
        made = pandas.DataFrame({
            "heat": rng.normal(20, 3, n), "on": rng.random(n) > 0.5,
            "place": rng.choice(["007", "7", "north"], n),
        })  # fmt: skip
        made.loc[::7, "heat"] = None
        return made

    detector = dv.AnomalyDetector(epochs=2, contamination=0.1).fit(table(150))
    folder = tmp_path_factory.mktemp("mixed")
    dv.export_saved_model(detector, folder, explain=True)
    new = table(40)
    new.loc[1, "place"] = None
    rows = [
        {k: None if v is None or v != v else v for k, v in row.items()}
        for row in new.astype(object).to_dict("records")
    ]
    return detector, str(folder), new, rows


def same(found, detector, table):
    assert len(found) == len(table)
    scores, flags, p = (
        f(table) for f in (detector.anomaly_score, detector.is_anomaly, detector.p_value)
    )
    for key, outputs in found:
        np.testing.assert_allclose(outputs["anomaly_score"], scores[key], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(outputs["p_value"], p[key], rtol=1e-6)
        assert outputs["is_anomaly"] == flags[key]


def test_rows_of_mixed_columns(mixed):
    detector, folder, table, rows = mixed
    bad = {
        "text": {"heat": "hot", "on": True, "place": "7"},
        "number": {"heat": 1, "on": True, "place": 7},
        "infinite": {"heat": float("inf"), "on": True, "place": "7"},
        "lacking": {"heat": 1.0, "place": "7"},
        "empty": {"heat": None, "on": None, "place": ""},
        "array": np.zeros(3),
    }
    more = {"other": 1, "on": 1.0, "place": rows[0]["place"], "heat": rows[0]["heat"]}
    assert rows[0]["on"] in (True, False)
    more["on"] = rows[0]["on"]
    pairs = [*enumerate([more, *rows[1:]]), *bad.items()]
    with TestPipeline(runner="FnApiRunner") as pipeline:
        result = pipeline | beam.Create(pairs) | Score(folder, signature="table", skip_refused=True)

        def refused(found):
            reasons = dict(found)
            assert set(reasons) == set(bad)
            assert "'heat' held number in training, and holds text now" in reasons["text"]
            assert "'place' held text in training, and holds number now" in reasons["number"]
            assert "'heat' is infinite" in reasons["infinite"]
            assert "the row has no on" in reasons["lacking"]
            assert "lacks 3 of the 3 cells" in reasons["empty"]
            assert "expected a row with names of columns" in reasons["array"]

        assert_that(result["scores"], lambda found: same(found, detector, table), label="scored")
        assert_that(result["refused"], refused, label="refused")


def test_explanations_of_mixed_columns(mixed):
    _, folder, table, rows = mixed
    expected = load(folder).predict(table, "explain_table")

    def check(found):
        for key, outputs in found:
            for name, value in outputs.items():
                if isinstance(value, str):
                    assert value == expected[name][key]
                else:
                    np.testing.assert_allclose(value, expected[name][key], rtol=1e-4, atol=1e-4)

    score = Score(folder, signature="explain_table", batch_size=16)
    run(lambda p: p | beam.Create(list(enumerate(rows))) | score, check)


def test_rows_of_dates_of_every_spelling_in_one_batch(tmp_path):
    rng = np.random.default_rng(0)
    at = pandas.Timestamp("2026-01-01") + pandas.to_timedelta(rng.integers(0, 300, 80), "D")
    table = pandas.DataFrame({"heat": rng.normal(20, 3, 80), "at": at})
    schema = dv.schema.learn_schema(table, dates="numbers")
    detector = dv.AnomalyDetector(epochs=2, contamination=0.1).fit(schema.encode(table))
    dv.export_saved_model(detector, tmp_path, schema=schema, warmup=())
    spellings = [
        lambda t: t, lambda t: t.to_pydatetime(), lambda t: t.date(),
        lambda t: t.tz_localize("UTC").tz_convert("Asia/Kolkata"),
        lambda t: t.tz_localize("UTC").to_pydatetime(),
        lambda t: np.datetime64(t.to_pydatetime()),
    ]  # fmt: skip
    rows = [
        {"heat": heat, "at": spellings[k % len(spellings)](t)}
        for k, (heat, t) in enumerate(zip(table["heat"], at, strict=True))
    ]
    bad = {"text": {"heat": 1.0, "at": "2026-01-01"}, "number": {"heat": 1.0, "at": 1.7e9}}
    score = Score(str(tmp_path), signature="table", skip_refused=True)
    with TestPipeline(runner="FnApiRunner") as pipeline:
        result = pipeline | beam.Create([*enumerate(rows), *bad.items()]) | score

        def scored(found):
            assert len(found) == len(table)
            expected = detector.anomaly_score(schema.encode(table))
            for key, outputs in found:
                np.testing.assert_allclose(outputs["anomaly_score"], expected[key], rtol=1e-5)

        def refused(found):
            reasons = dict(found)
            assert set(reasons) == set(bad)
            assert "'at' held date in training, and holds text now" in reasons["text"]
            assert "'at' held date in training, and holds number now" in reasons["number"]

        assert_that(result["scores"], scored, label="scored")
        assert_that(result["refused"], refused, label="refused")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_of_mixed_columns(mixed, tmp_path, suffix):
    detector, folder, table, _ = mixed
    if suffix == "csv":
        table.to_csv(tmp_path / "a.csv", index=False)
    else:
        table.to_parquet(tmp_path / "a.parquet")

    def check(rows):
        same([(row["row"], row) for row in rows], detector, table)

    run(lambda p: p | ScoreFiles(f"{tmp_path}/*.{suffix}", folder), check)
