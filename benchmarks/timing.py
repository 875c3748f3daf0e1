"""Measuring times, as ratios within a run.

The clock says what a step takes while other work may hold the cores; CPU time, summed over all
threads, says what it takes of them, and is the steadier number on a shared machine.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

ENOUGH = 0.3  # seconds that a measurement lasts at least
SLOW = 5.0  # seconds from which on a call is measured in the first rounds only


class Times(NamedTuple):
    """Seconds per example of a step, round by round: by the clock, and of all its threads."""

    clock: list[float]
    cpu: list[float]


def rounds_of_times(
    steps: dict[Any, tuple[Callable[[tf.Tensor], tf.Tensor], tf.Tensor]], rounds: int
) -> dict[Any, Times]:
    """The times of each step in each round; a slow moment hits all steps alike."""
    calls = {}
    for name, (step, x) in steps.items():
        step(x)  # traces and compiles
        calls[name] = max(1, min(20, int(ENOUGH / _seconds(step, x, 1)[0])))
    times = {name: Times([], []) for name in steps}
    for index in range(rounds):
        for name, (step, x) in steps.items():
            slow = index and times[name].clock[-1] * len(x) > SLOW
            if not (slow and index > 1):
                for rows, seconds in zip(times[name], _seconds(step, x, calls[name]), strict=True):
                    rows.append(seconds / len(x))
    return times


def _seconds(
    step: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor, calls: int
) -> tuple[float, float]:
    """Seconds of a call by the clock, and of CPU time."""
    clock, cpu = time.perf_counter(), time.process_time()
    for _ in range(calls):
        value = step(x)
    value.numpy()
    return (time.perf_counter() - clock) / calls, (time.process_time() - cpu) / calls


def median_ratio(times: list[float], reference: list[float]) -> float:
    """Median over rounds of the ratio to a reference."""
    return statistics.median(t / r for t, r in zip(times, reference, strict=False))


def ratios(times: Times, reference: Times) -> dict[str, str]:
    """The columns of a table that compare a step with the autoencoder's."""
    return {
        "times the autoencoder": f"{median_ratio(times.clock, reference.clock):.3g}",
        "times its CPU time": f"{median_ratio(times.cpu, reference.cpu):.3g}",
    }
