"""Names of columns travel with a model: to its card, its files, its server and its clients."""

import json
import warnings
from collections import namedtuple

import numpy as np
import pandas as pd
import polars as pl
import pytest
import tensorflow as tf
from parity_checks.servers import GrpcServer, RestServer
from pyarrow import parquet

import delvm_tf as dv
from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams import TableOptions
from delvm_tf.serving import DamagedModelError, load
from delvm_tf.serving.checks import in_order
from delvm_tf.serving.model_card import FILE, ModelCard, checksums
from delvm_tf.serving.scoring import score_files

NAMES = ("speed", "heat", "load")


def exported(base, names):
    x = np.random.default_rng(0).normal([3, -40, 900], [1, 5, 70], (200, 3))
    model = dv.DELVM(dv.networks.ffnn((4,), seed=0), normalization="zscore")
    model.adapt(x)
    model.normalization.feature_names = names
    detector = dv.AnomalyDetector(model, "mean_std").fit(x)
    return detector, x, dv.export_saved_model(detector, base, warmup=(1,))


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is fitted on an array
        return exported(tmp_path_factory.mktemp("named"), NAMES)


@pytest.fixture(scope="module")
def nameless(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("nameless"), None)


def scored(folder, table, tmp_path, suffix="csv", **options):
    path = tmp_path / f"a.{suffix}"
    if suffix == "csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path)
    options = {"table": TableOptions(**options)} if options else {}
    summary = score_files(load(folder), str(path), tmp_path / "s.parquet", **options)
    return summary, parquet.read_table(tmp_path / "s.parquet")


def test_the_card_and_the_server_know_the_names(named, nameless):
    served = load(named[2])
    assert served.card.columns == NAMES
    assert served.card.input["columns"] == list(NAMES)
    found = served.predict(pd.DataFrame(named[1][:2], columns=NAMES), "columns")["columns"]
    assert found.astype(str).tolist() == [list(NAMES)] * 2
    assert load(nameless[2]).card.columns is None
    assert "columns" not in load(nameless[2]).card.signatures


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_are_scored_by_name_in_any_order(named, tmp_path, suffix):
    detector, x, folder = named
    frame = pd.DataFrame(x, columns=NAMES)
    frame["note"] = "text"
    frame.insert(0, "label", 1)
    summary, table = scored(folder, frame[[*frame.columns[::-1]]], tmp_path, suffix)
    np.testing.assert_allclose(
        table["anomaly_score"], detector.model.reconstruction_error(x), rtol=1e-4, atol=1e-5
    )
    assert summary.notes == ["left out, for the model has no such columns: note, label"]
    with pytest.raises(ContentsError, match=r"the model was trained on: it lacks 'heat' and has"):
        scored(folder, frame.drop(columns="heat"), tmp_path, suffix)


def test_an_index_does_not_matter_to_a_model_with_names(named, tmp_path):
    _, x, folder = named
    path = tmp_path / "a.csv"
    pd.DataFrame(x, columns=NAMES).to_csv(path)
    summary = score_files(load(folder), str(path), tmp_path / "s.parquet")
    assert summary.rows == len(x)
    assert "Unnamed: 0" in summary.notes[0]


def test_without_names_on_one_side_the_order_counts_and_is_said(named, nameless, tmp_path):
    _, x, folder = named
    np.savetxt(tmp_path / "a.csv", x, delimiter=",")
    np.savez(tmp_path / "a.npz", x=x)
    for suffix in ("csv", "npz"):
        summary = score_files(load(folder), f"{tmp_path}/a.{suffix}", tmp_path / "s.parquet")
        (note,) = summary.notes
        assert "read in the order of the model's: speed, heat, load" in note
    detector, x, folder = nameless
    summary, table = scored(folder, pd.DataFrame(x, columns=["c", "a", "b"]), tmp_path)
    assert "in which they stand: c, a, b" in summary.notes[0]
    np.testing.assert_allclose(
        table["anomaly_score"], detector.model.reconstruction_error(x), rtol=1e-4, atol=1e-5
    )
    wide = pd.DataFrame(x, columns=["c", "a", "b"]).assign(y=0)
    with pytest.raises(ContentsError, match=r"\(4,\), expected \(3,\); its columns are c, a, b, y"):
        scored(folder, wide, tmp_path)
    assert scored(folder, wide, tmp_path, drop="y")[0].rows == len(x)
    wide.to_csv(tmp_path / "a.csv")
    with pytest.raises(ContentsError, match="'Unnamed: 0', is an index"):
        score_files(load(folder), f"{tmp_path}/a.csv", tmp_path / "s.parquet")


def test_numbers_of_rows_are_those_of_the_file(nameless, tmp_path):
    _, x, folder = nameless
    lines = [",".join(map(repr, map(float, row))) for row in x[:4]]
    (tmp_path / "a.csv").write_text("\n".join(["a,b,c", "", lines[0], lines[1], "", *lines[2:]]))
    score_files(load(folder), f"{tmp_path}/a.csv", tmp_path / "s.parquet")
    assert parquet.read_table(tmp_path / "s.parquet")["row"].to_pylist() == [0, 1, 2, 3]
    (tmp_path / "a.csv").write_text("\n".join(["NA," + lines[0].split(",", 1)[1], *lines]))
    with pytest.raises(ContentsError, match="row 0"):
        score_files(load(folder), f"{tmp_path}/a.csv", tmp_path / "s.parquet")


def test_a_changed_option_begins_anew(nameless, tmp_path):
    _, x, folder = nameless
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    first = scored(folder, frame, tmp_path)[1]["anomaly_score"].to_numpy()
    other = scored(folder, frame, tmp_path, columns=["c", "b", "a"])[1]["anomaly_score"].to_numpy()
    assert not np.allclose(first, other)


@pytest.fixture(params=["python", "rest", "grpc"])
def ask(request, named):
    if request.param == "python":
        yield load(named[2])
        return
    server = {"rest": RestServer, "grpc": GrpcServer}[request.param](named[2])
    with dv.serving.Client(server.address, "ecg") as client:
        yield client
    server.close()


@pytest.mark.parametrize("kind", [pd.DataFrame, lambda x, columns: pl.DataFrame(x, list(columns))])
def test_frames_are_compared_by_name(ask, named, kind):
    detector, x, _ = named
    expected = detector.model.reconstruction_error(x[:8])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        found = ask.predict(kind(x[:8], columns=NAMES))
    np.testing.assert_allclose(found["anomaly_score"], expected, rtol=1e-4, atol=1e-5)
    for names, message in (
        (NAMES[::-1], "must be in the same order"),
        ((*NAMES[:2], "weight"), "unseen at fit time:\n- weight"),
    ):
        with pytest.raises(ValueError, match=message):
            ask.predict(kind(x[:8], columns=names))
    with pytest.warns(UserWarning, match="does not have feature names"):
        ask.predict(x[:8])


def test_a_model_without_names_says_so(nameless):
    _, x, folder = nameless
    with pytest.warns(UserWarning, match="fitted without feature names"):
        load(folder).predict(pd.DataFrame(x[:3], columns=NAMES))


def test_a_row_with_names_is_put_in_order():
    point = namedtuple("Point", ["load", "heat", "speed"])
    for row in (
        {"load": 3, "speed": 1, "heat": 2, "other": "text"},
        pd.Series({"heat": 2, "load": 3, "speed": 1}),
        point(load=3, heat=2, speed=1),
    ):
        assert in_order(row, NAMES).tolist() == [1, 2, 3]
        with pytest.raises(ValueError, match="the model has none; give an array"):
            in_order(row, None)
        with pytest.raises(ValueError, match="the row has no weight"):
            in_order(row, ("speed", "weight"))
    array = np.arange(3)
    assert in_order(array, NAMES) is array


def test_masked_values_are_refused(nameless):
    _, x, folder = nameless
    with pytest.raises(ValueError, match="masked values"):
        load(folder).predict(np.ma.masked_greater(x, 3))
    with pytest.raises(ValueError, match="masked values"):
        load(folder).predict(list(np.ma.masked_greater(x, 3)))


def test_a_served_model_reads_tables_as_python_does(nameless):
    _, x, folder = nameless
    served = load(folder)
    table = pd.DataFrame(x).assign(last=True).drop(columns=2).set_axis(range(3), axis=1)
    expected = served.predict(np.c_[x[:, :2], np.ones(len(x))])["reconstruction_error"]
    np.testing.assert_array_equal(served.predict(table)["reconstruction_error"], expected)
    with pytest.raises(ValueError, match="NaN"):
        served.predict(pd.DataFrame(x).convert_dtypes().mask(x > 3))


@pytest.mark.parametrize("columns", [["a"], ["a", "a", "b"], [1, 2, 3], "abc"])
def test_a_card_with_wrong_names_is_refused(nameless, tmp_path, columns):
    folder = nameless[2]
    card = load(folder).card
    content = json.loads((folder / FILE).read_text())
    copy = tmp_path / "1"
    tf.io.gfile.makedirs(str(copy))
    for name in card.checksums:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((folder / name).read_bytes())
    wrong = ModelCard(
        **{**{k: content[k] for k in content if k != "format"}, "checksums": checksums(copy)}
        | {"input": {**content["input"], "columns": columns}, "scores": card.scores}
    )
    wrong.write(copy)
    with pytest.raises(DamagedModelError, match=r"input\.columns"):
        load(copy)
