"""The program that compares detectors on many tables."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from trainers import tables
from trainers.experiments import table_peers
from trainers.experiments.tables import Table, load_table, scored, sets_of
from trainers.plots.ranks import critical_difference, mean_ranks


@pytest.fixture
def folder(tmp_path, rng):
    for name in ("oddbench", "adbench"):
        (tmp_path / name).mkdir()
    for name in ("rings", "Blobs"):
        train, test = rng.normal(size=(60, 3)), rng.normal(size=(30, 3))
        test[20:] += 6
        np.savez(
            tmp_path / "oddbench" / f"{name}.npz",
            train=train, test=test, train_labels=np.zeros(60), test_labels=np.arange(30) >= 20,
        )  # fmt: skip
    x = np.r_[rng.normal(size=(90, 2)), rng.normal(size=(10, 2)) + 7]
    x[1] = x[0]
    for number in (10, 2):
        np.savez(tmp_path / "adbench" / f"{number}_set.npz", X=x, y=np.arange(100) >= 90)
    return tmp_path


def test_sets_are_in_order(folder):
    assert sets_of("oddbench", folder) == ["Blobs", "rings"]
    assert sets_of("clean", folder) == ["2_set", "10_set"]
    with pytest.raises(FileNotFoundError, match="DELVM_DATA_DIR"):
        sets_of("clean", folder / "oddbench")


def test_small_sets_are_drawn_to_a_thousand_rows_and_the_first_half_trains(folder):
    table = load_table("published", "2_set", 0, folder)
    assert len(table.train) + len(table.test) == 1000
    assert abs(len(table.train) - (table.labels == 0).sum()) <= 1
    assert len(np.unique(table.train, axis=0)) < 90


def test_clean_sets_have_no_row_twice_and_halve_the_normal_rows(folder):
    table = load_table("clean", "2_set", 0, folder)
    assert (len(table.train), len(table.test), table.labels.sum()) == (44, 55, 10)
    everything = np.concatenate([table.train, table.test])
    assert len(np.unique(everything, axis=0)) == len(everything)
    other = load_table("clean", "2_set", 1, folder)
    assert not np.array_equal(other.train, table.train)


def test_embeddings_are_split_as_clean_sets_are(folder):
    (folder / "adbench").rename(folder / "mvtec_resnet18")
    table = load_table("mvtec", "2_set", 1, folder)
    assert (len(table.train), len(table.test), table.labels.sum()) == (44, 55, 10)


def test_the_split_of_oddbench_is_its_own(folder):
    table = load_table("oddbench", "rings", 3, folder)
    assert (len(table.train), table.labels.sum()) == (60, 10)


def test_scores_that_are_not_finite_are_the_most_abnormal(rng):
    table = Table(rng.normal(size=(5, 2)), rng.normal(size=(3, 2)), np.array([0, 0, 1]))
    found = scored(lambda train, seed: lambda x: [1.0, np.nan, 2.0], table, 0)
    assert found.scores.argmax() == 1
    assert np.isfinite(found.scores).all()


def test_every_simple_method_finds_what_is_far(folder):
    table = load_table("oddbench", "rings", 0, folder)
    for name, method in tables.METHODS.items():
        if name in (tables.OURS, "DSM-DELVM"):
            continue
        scores = scored(method, table, 0).scores
        assert scores[20:].min() > scores[:20].max(), name


def test_a_detector_of_another_package_is_a_method_where_it_is_installed(tmp_path, monkeypatch):
    (tmp_path / "other_package.py").write_text(
        "import numpy as np\n"
        "class Norm:\n"
        "    def __init__(self, columns):\n"
        "        self.columns = columns\n"
        "    def fit(self, x):\n"
        "        assert abs(x.mean()) < 1e-9 and x.shape[1] == self.columns\n"
        "        self.rows = len(x)\n"
        "        return self\n"
        "    def decision_function(self, x):\n"
        "        return np.linalg.norm(x, axis=1)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    peers = {
        "norm": table_peers.Peer(
            "other_package", "other_package", "Norm", lambda columns, seed: {"columns": columns}
        ),
        "absent": table_peers.Peer(
            "no_such_package", "no_such_package", "Norm", lambda d, seed: {}
        ),
    }
    monkeypatch.setattr(table_peers, "PEERS", peers)
    monkeypatch.setattr(table_peers, "BATCH", 7)
    methods = table_peers.installed()
    assert list(methods) == ["norm"]
    x = np.random.default_rng(0).normal(3, 2, (50, 4))
    score = methods["norm"](x, 0)
    expected = np.linalg.norm((x - x.mean(axis=0)) / x.std(axis=0), axis=1)
    np.testing.assert_allclose(score(x), expected, rtol=1e-12)


def test_the_program_writes_figures_ranks_and_a_picture(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["trainers/tables.py"])
    args = tables.parse_arguments([
        "--data-dir", str(folder), "--output", str(tmp_path / "made"), "--methods",
        "neighbours (5)", "isolation forest",
    ])  # fmt: skip
    from rich.console import Console

    tables.run(args, Console())
    rows = pd.read_csv(tmp_path / "made" / "results.csv")
    assert len(rows) == 4
    assert (rows["auroc"] == 1).all()
    assert (tmp_path / "made" / "ranks.png").stat().st_size > 1000
    assert "2 tables, protocol oddbench" in (tmp_path / "made" / "results.md").read_text()
    args.sets = ["nothing"]
    with pytest.raises(ValueError, match="no set 'nothing'"):
        tables.run(args, Console())


def test_one_method_has_a_rank_and_a_picture(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["trainers/tables.py"])
    args = tables.parse_arguments([
        "--data-dir", str(folder), "--output", str(tmp_path / "made"), "--methods",
        "neighbours (5)",
    ])  # fmt: skip
    from rich.console import Console

    tables.run(args, Console())
    assert len(pd.read_csv(tmp_path / "made" / "results.csv")) == 2
    assert (tmp_path / "made" / "ranks.png").stat().st_size > 1000


def test_ranks_and_their_critical_difference():
    frame = pd.DataFrame({"a": [0.9, 0.8, 0.7], "b": [0.5, 0.8, 0.6], "c": [0.1, 0.2, 0.9]})
    assert mean_ranks(frame).to_dict() == {"a": 1.5, "b": 2 + 1 / 6, "c": 2 + 1 / 3}
    q = stats.studentized_range.ppf(0.95, 5, np.inf) / np.sqrt(2)
    assert critical_difference(5, 30) == pytest.approx(q * np.sqrt(30 / 180))
    assert critical_difference(5, 30) == pytest.approx(2.728 * np.sqrt(1 / 6), rel=1e-3)  # Demšar
    assert critical_difference(1, 30) == 0
