import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import delvm_tf as dv
from tuning import Setting, Space, make_tuner
from tuning.trials import best_first, plot_search, rows_of, trials_of

pytest.importorskip("keras_tuner")
SPACE = Space(
    "ecg5000", "standard", "auroc",
    (
        Setting("model", ("delvm",)),
        Setting("units", ((4,), (8,)), part="model"),
        Setting("learning_rate", (1e-3, 1e6)),
        Setting("epochs", (1,)),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def data():
    whole = dv.datasets.load("ecg5000", protocol="standard", seed=0)
    poisoned = dataclasses.replace(whole, x_test=np.full_like(whole.x_test, np.nan))
    split = poisoned.validation_split(seed=0)
    return dataclasses.replace(split, x_train=split.x_train[:200], y_train=split.y_train[:200])


def test_a_grid_visits_all_and_goes_on_after_trials_that_diverge(data, tmp_path, capsys):
    """The test set, here full of NaN, plays no part."""
    tuner = make_tuner(SPACE, data, "grid", "auroc", 10, 0, tmp_path)
    tuner.search()
    trials = trials_of(tuner, SPACE, "auroc")
    assert len(trials) == 4
    failed = [trial for trial in trials if trial.figure is None]
    assert [t.values["learning_rate"] for t in failed] == [1e6, 1e6]
    assert all(t.reason.startswith("TrainingDiverged: training diverged") for t in failed)
    ranking = best_first(trials, "auroc")
    assert [t.values["learning_rate"] for t in ranking] == [1e-3, 1e-3]
    assert ranking[0].figure >= ranking[1].figure > 0.5
    rows = rows_of(trials, "auroc")
    assert {row["units"] for row in rows} == {"4", "8"}
    assert len({tuple(row) for row in rows}) == 1
    assert plot_search(trials, "auroc").axes
    capsys.readouterr()
    again = make_tuner(SPACE, data, "grid", "auroc", 10, 0, tmp_path)
    assert capsys.readouterr().out == ""
    again.search()
    assert trials_of(again, SPACE, "auroc") == trials


@pytest.mark.parametrize("kind", ["bayesian", pytest.param("hyperband", marks=pytest.mark.slow)])
def test_other_tuners(kind, data, tmp_path):
    tuner = make_tuner(SPACE, data, kind, "auroc", 2, 0, tmp_path)
    tuner.search()
    assert len(trials_of(tuner, SPACE, "auroc")) >= 2


def test_wrong_names_are_refused(data, tmp_path):
    with pytest.raises(ValueError, match="unknown tuner 'best'"):
        make_tuner(SPACE, data, "best", "auroc", 1, 0, tmp_path)
    with pytest.raises(ValueError, match="unknown measure 'f1'"):
        make_tuner(SPACE, data, "grid", "f1", 1, 0, tmp_path)


KILLED = """
import sys
from pathlib import Path
import delvm_tf as dv
from tuning import Setting, Space, make_tuner
space = Space("ecg5000", "standard", "auroc", (
    Setting("units", ((4,), (5,), (6,)), part="model"), Setting("epochs", (1,))))
data = dv.datasets.load("ecg5000", protocol="standard", seed=0).validation_split(seed=0)
tuner = make_tuner(space, data, "grid", "auroc", 10, 0, Path(sys.argv[1]))
end = tuner.on_trial_end
def said(trial):
    end(trial)
    print("trial", trial.trial_id, flush=True)
tuner.on_trial_end = said
tuner.search()
"""


@pytest.mark.slow
def test_a_killed_search_goes_on_with_the_trials_that_are_left(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        seen = process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    assert seen.startswith("trial")
    time.sleep(0.1)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = (seen + done.stdout).splitlines()
    assert sorted(line for line in lines if line.startswith("trial")) == [
        "trial 00", "trial 01", "trial 02",
    ]  # fmt: skip


def test_a_state_is_written_as_a_whole_or_not_at_all(data, tmp_path, monkeypatch):
    tuner = make_tuner(SPACE, data, "grid", "auroc", 10, 0, tmp_path)
    tuner.save()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    assert len(before) == 2
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        tuner.save()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before
