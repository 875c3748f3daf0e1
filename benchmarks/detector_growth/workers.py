"""Detectors in processes of their own, which can be stopped when they take too long."""

import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from detector_growth.data import mixed_rows
from trainers.experiments.table_peers import installed
from trainers.experiments.tables import METHODS, OURS, scorer

SHOWN = (
    OURS, "neighbours (5)", "isolation forest", "KCM", "LUNAR (PyOD)", "DeepSVDD (PyOD)",
    "AutoEncoder (PyOD)",
)  # fmt: skip
NEW_ROWS = 10_000  # that are scored
WARMING = (200, 3)  # rows and columns of a first fit, which loads what a method needs
WARMING_SECONDS = 300.0
OVER, LEFT_OUT = "over the limit", "left out"


class Seconds(NamedTuple):
    """Of a call, by the clock and of CPU time of all threads."""

    clock: float
    cpu: float


class Taken(NamedTuple):
    """What fitting and scoring take; None for what did not end.

    Attributes:
        fit: seconds.
        first: of the first scoring, which may compile.
        score: of another.
        outcome: why something did not end, or nothing.
    """

    fit: Seconds | None = None
    first: Seconds | None = None
    score: Seconds | None = None
    outcome: str = ""


def chosen_methods() -> list[str]:
    """The names of the methods that are here."""
    return [name for name in SHOWN if name in METHODS]


class Worker:
    """A method in a process that is started when it is needed.

    Args:
        name: of the method.
        limit: seconds of a fit, and of a scoring.
    """

    def __init__(self, name: str, limit: float):
        self.name = name
        self._limit = limit
        self._process: Any = None
        self._connection: Any = None

    def measure(self, rows: int, columns: int) -> Taken:
        """The times of a fit on so many rows and columns, and of the scores of new rows."""
        if self._process is None:
            self._start()
        self._connection.send((rows, columns))
        parts: list[Seconds] = []
        for limit in (WARMING_SECONDS, self._limit, self._limit, self._limit):
            answer = self._answer(limit)
            if isinstance(answer, str):
                return Taken(*parts[1:], outcome=answer)
            parts.append(answer)
        return Taken(*parts[1:])

    def close(self) -> None:
        """Stop the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
            self._process = None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self.name), daemon=True)
        self._process.start()
        theirs.close()
        if isinstance(answer := self._answer(WARMING_SECONDS), str):
            raise ChildProcessError(f"{self.name} did not fit {WARMING[0]} rows: {answer}")

    def _answer(self, limit: float) -> Any:
        """Seconds, or why there are none; then the process is gone or goes on."""
        try:
            if self._connection.poll(limit):
                return self._connection.recv()
            outcome = OVER
        except (EOFError, ConnectionError):
            outcome = "the process ended"
        self.close()
        return outcome


def _serve(connection: Connection, name: str) -> None:
    """Fit and score tables as they are asked for; after each part its seconds are sent."""
    method = {**METHODS, **installed(most_rows=None)}[name]
    scorer(method(mixed_rows(*WARMING), 0))(mixed_rows(WARMING[0], WARMING[1], 1))
    connection.send(Seconds(0.0, 0.0))
    while True:
        rows, columns = connection.recv()
        new = mixed_rows(NEW_ROWS, columns, 1)
        train = mixed_rows(rows, columns)
        connection.send(Seconds(0.0, 0.0))
        try:
            fitted, seconds = _timed(method, train, 0)
            connection.send(seconds)
            score = scorer(fitted)
            for _ in range(2):
                connection.send(_timed(score, new)[1])
        except Exception as error:  # of any package, and often for want of memory
            connection.send(type(error).__name__)


def _timed(call: Any, *arguments: Any) -> tuple[Any, Seconds]:
    clock, cpu = time.perf_counter(), time.process_time()
    result = call(*arguments)
    return result, Seconds(time.perf_counter() - clock, time.process_time() - cpu)
