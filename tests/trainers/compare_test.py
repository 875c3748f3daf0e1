"""The comparison of all models, by the command line a user would give."""

import csv
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "trainers" / "compare.py"


@pytest.fixture
def compare(monkeypatch):
    from trainers import compare

    return compare


@pytest.mark.slow
def test_every_pair_and_baseline_has_its_rows(compare, tmp_path, monkeypatch, capsys):
    arguments = [
        "--dataset", "digits", "--protocol", "one-vs-rest", "--normal-class", "1",
        "--pairs", "gaussian-rbm:cd", "autoencoder",
    ]  # fmt: skip
    out = ["--output", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", [str(PROGRAM), *out, *arguments])
    monkeypatch.chdir(tmp_path)
    assert compare.main() == 0, capsys.readouterr().out
    rows = {r["method"]: r for r in csv.DictReader((tmp_path / "out" / "results.csv").open())}
    for method in ("CD-Gaussian RBM, energy", "AE, reconstruction error", "PCA residual (4)"):
        assert float(rows[method]["auroc"]) > 0.7, method
    assert "AE, energy" not in rows
    assert float(rows["all abnormal"]["recall"]) == 1.0
    text = (tmp_path / "out" / "results.md").read_text()
    assert "gaussian-rbm:cd" in text
    assert "compare.py" in text


@pytest.mark.parametrize(
    ("pair", "message"), [("vae:cd", "unknown model"), ("dbn:sliced", "dbn is not learned by")]
)
def test_pairs_that_make_no_sense_are_refused(compare, capsys, pair, message):
    with pytest.raises(SystemExit):
        compare.parse_arguments(["--pairs", pair])
    assert message in capsys.readouterr().err
