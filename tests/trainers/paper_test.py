"""The program for the paper's figures, run as a user would."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "trainers" / "paper.py"


@pytest.fixture
def paper(monkeypatch):
    from trainers import paper

    return paper


def run(paper, monkeypatch, tmp_path, *arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(PROGRAM), *arguments])
    return paper.main()


@pytest.mark.slow
def test_a_figure_is_written_and_goes_on_from_what_is_there(paper, monkeypatch, tmp_path, capsys):
    arguments = ("fig7", "--scale", "smoke")
    assert run(paper, monkeypatch, tmp_path, *arguments) == 0
    assert "13 cells, 13 of them to be computed" in capsys.readouterr().out
    out = tmp_path / "runs" / "paper-smoke"
    table = list(csv.DictReader((out / "fig7.csv").open()))
    assert {row["method"] for row in table} >= {"SM-DELVM", "CD-DELVM", "AE", "isolation forest"}
    page = (out / "fig7.md").read_text()
    assert "python trainers/paper.py fig7 --scale smoke" in page
    assert (out / "fig7.png").stat().st_size > 5000
    cells = sorted((out / "cells").iterdir())
    assert len(cells) == 13
    whole = cells[0].read_text()
    cells[0].write_text(whole[:50])
    cells[1].unlink()
    kept = {cell: cell.stat().st_mtime_ns for cell in cells[2:]}
    assert run(paper, monkeypatch, tmp_path, *arguments) == 0
    printed = capsys.readouterr().out
    assert "2 of them to be computed" in printed
    assert "is damaged" in printed
    assert {cell: cell.stat().st_mtime_ns for cell in cells[2:]} == kept
    assert (out / "fig7.md").read_text() == page
    assert list(csv.DictReader((out / "fig7.csv").open())) == table
    assert not list(out.rglob("*.partial*"))


def test_the_cells_are_listed_without_computing_any(paper, monkeypatch, tmp_path, capsys):
    assert (
        run(paper, monkeypatch, tmp_path, "all", "--scale", "full", "--seeds", "0", "--list") == 0
    )
    printed = capsys.readouterr().out
    assert "fashion_mnist-classification-sm-delvm-70x5-seed0" in printed
    assert "cells in all" in printed
    assert not list(tmp_path.iterdir())


def test_missing_data_end_in_one_clear_line_before_any_work(paper, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("DELVM_DATA_DIR", str(tmp_path))
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    assert run(paper, monkeypatch, tmp_path, "fig7", "table1", "--scale", "smoke") == 1
    printed = capsys.readouterr().out
    assert "error:" in printed
    assert "cifar10" in printed
    assert not list((tmp_path / "runs" / "paper-smoke" / "cells").iterdir())


def test_unknown_figures_are_refused(paper, capsys):
    with pytest.raises(SystemExit):
        paper.parse_arguments(["fig10"])
    assert "fig10" in capsys.readouterr().err
    assert paper.parse_arguments(["fig2", "fig1", "fig2"]).figures == ["fig2", "fig1"]


@pytest.mark.slow
def test_a_killed_run_loses_no_finished_cell(tmp_path):
    command = [sys.executable, str(PROGRAM), "fig7", "--scale", "smoke", "--output", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    cells = tmp_path / "cells"
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if cells.exists() and list(cells.glob("*.json")):
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    finished = {path: path.read_bytes() for path in cells.glob("*.json")}
    assert 0 < len(finished) < 13
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"13 cells, {13 - len(finished)} of them" in done.stdout
    assert {path: path.read_bytes() for path in finished} == finished
    assert (tmp_path / "fig7.md").exists()


@pytest.mark.slow
def test_all_figures_at_smoke_scale(tmp_path, require_data):
    require_data("cifar10")
    require_data("fashion_mnist")
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "all", "--scale", "smoke", "--output", str(tmp_path)],
        capture_output=True, text=True, check=False, env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for name in [*(f"fig{i}" for i in range(1, 10)), "table1"]:
        for ending in ("csv", "png", "md"):
            assert (tmp_path / f"{name}.{ending}").stat().st_size > 300
