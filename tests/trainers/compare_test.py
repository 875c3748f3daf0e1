"""The comparison of all models, run as a user would."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "trainers" / "compare.py"


def run(tmp_path, *arguments):
    return subprocess.run(
        [sys.executable, str(PROGRAM), "--output", str(tmp_path / "out"), *arguments],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip


def test_every_pair_and_baseline_has_its_rows(tmp_path):
    arguments = [
        "--dataset", "digits", "--protocol", "one-vs-rest", "--normal-class", "1",
        "--pairs", "gaussian-rbm:cd", "autoencoder",
    ]  # fmt: skip
    done = run(tmp_path, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
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
def test_pairs_that_make_no_sense_are_refused(monkeypatch, capsys, pair, message):
    monkeypatch.syspath_prepend(str(PROGRAM.parent))
    import compare

    with pytest.raises(SystemExit):
        compare.parse_arguments(["--pairs", pair])
    assert message in capsys.readouterr().err
