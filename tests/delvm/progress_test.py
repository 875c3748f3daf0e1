import io

import numpy as np
import pytest
from rich.console import Console

import delvm_tf as dv
from delvm import progress as progress_module
from delvm.progress import FilesProgress, TrainingProgress


def trained():
    """What is shown, line by line, and the history of the loss."""
    console = Console(width=100, file=io.StringIO())
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    model = dv.DELVM(dv.networks.ffnn([4]))
    model.adapt(x)
    model.compile("adam")
    with TrainingProgress(console) as progress:
        history = model.fit(x, epochs=3, verbose=0, callbacks=[progress.callback("ours")])
    return console.file.getvalue().strip().splitlines(), history.history["loss"]


def test_a_model_is_one_line_with_epochs_and_loss():
    (line,), loss = trained()
    assert line.startswith("ours ")
    assert "3/3 epochs" in line
    assert f"loss {loss[-1]:.4g}, reconstruction error " in line


def test_a_log_of_a_long_training_is_not_silent(monkeypatch):
    monkeypatch.setattr(progress_module, "QUIET_SECONDS", 0)
    lines, loss = trained()
    for epoch, line in enumerate(lines[:3]):
        assert line.startswith(f"ours {epoch + 1}/3 epochs, loss {loss[epoch]:.4g}, ")
    assert len(lines) == 4


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("kind", [TrainingProgress, FilesProgress])
def test_nothing_is_shown_before_work_begins(kind, terminal):
    console = Console(width=100, file=io.StringIO(), force_terminal=terminal)
    with kind(console) as progress:
        if kind is TrainingProgress:
            progress.callback("ours")
    assert console.file.getvalue() == ""


def test_files_are_counted_from_the_first_rows_on():
    console = Console(width=100, file=io.StringIO())
    with FilesProgress(console) as progress:
        progress.tell(0, 3)
        progress.tell(3, 3)
    (line,) = console.file.getvalue().strip().splitlines()
    assert line.startswith("scoring ")
    assert "3/3" in line
