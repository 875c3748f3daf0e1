"""Work as one line on the screen, from when it begins."""

import time
from types import TracebackType
from typing import Any, Self

import keras
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)  # fmt: skip

QUIET_SECONDS = 60  # at least, between lines where there is no terminal
# Metrics that are shown, and what they are called.
SHOWN = {"loss": "loss", "reconstruction_error": "reconstruction error"}


class _Shown:
    """Bars that are shown from the first one on, so that errors before the work stand alone."""

    def __init__(self, progress: Progress):
        self._progress = progress

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._progress.live.is_started:  # rich would write an empty line
            self._progress.stop()


class FilesProgress(_Shown):
    """A bar of files that are done, shown when `tell` is called first."""

    def __init__(self, console: Console):
        super().__init__(
            Progress(
                TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                console=console,
            )
        )  # fmt: skip
        self._task = self._progress.add_task("files", total=None)

    def tell(self, done: int, total: int) -> None:
        """How many files of how many are done."""
        self._progress.start()
        self._progress.update(self._task, completed=done, total=total)


class TrainingProgress(_Shown):
    """A bar for each model in training, with the epochs, the seconds and the loss.

    Of a training of one epoch, which may be many in one pass, it shows the steps. Use as a context,
    and hand `callback` to every `fit` in it. Where the console is not a terminal each bar is
    written once, when all is done, and before that a line about every minute.
    """

    def __init__(self, console: Console):
        super().__init__(
            Progress(
                TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(),
                TextColumn("{task.fields[unit]}"), TimeElapsedColumn(),
                TextColumn("{task.fields[figures]}"), console=console,
            )
        )  # fmt: skip

    def callback(self, name: str) -> keras.callbacks.Callback:
        """What shows the progress of `fit`; trained in several stages, a model has several bars."""
        return _Bar(self._progress, name)


class _Bar(keras.callbacks.Callback):
    def __init__(self, progress: Progress, name: str):
        super().__init__()
        self._progress, self._name = progress, name
        self._last = time.monotonic()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._progress.start()
        self._unit = "epochs" if self.params["epochs"] > 1 else "steps"
        self._total = self.params["epochs" if self.params["epochs"] > 1 else "steps"]
        self._task = self._progress.add_task(
            self._name, total=self._total, figures="", unit=self._unit
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._unit == "steps":
            self._show(batch + 1, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._unit == "epochs":
            self._show(epoch + 1, logs)

    def _show(self, done: int, logs: dict[str, Any] | None) -> None:
        known = logs or {}
        figures = [f"{words} {known[name]:.4g}" for name, words in SHOWN.items() if name in known]
        self._progress.update(self._task, completed=done, figures=", ".join(figures))
        console = self._progress.console
        if not console.is_terminal and time.monotonic() - self._last > QUIET_SECONDS:
            self._last = time.monotonic()
            line = f"{self._name} {done}/{self._total} {self._unit}"
            console.print(", ".join([line, *figures]), highlight=False)
