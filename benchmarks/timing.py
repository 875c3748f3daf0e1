"""Measuring: times as ratios within a run, memory in a process of its own."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

ENOUGH = 0.3  # seconds that a measurement lasts at least
SLOW = 5.0  # seconds from which on a call is measured in the first rounds only


def rounds_of_seconds(
    steps: dict[str, tuple[Callable[[tf.Tensor], tf.Tensor], tf.Tensor]], rounds: int
) -> dict[str, list[float]]:
    """Seconds per example of each step in each round; a slow moment hits all steps alike."""
    calls = {}
    for name, (step, x) in steps.items():
        step(x)  # traces and compiles
        calls[name] = max(1, min(20, int(ENOUGH / _seconds(step, x, 1))))
    times: dict[str, list[float]] = {name: [] for name in steps}
    for index in range(rounds):
        for name, (step, x) in steps.items():
            slow = times[name] and times[name][-1] * len(x) > SLOW
            if not (slow and index > 1):
                times[name].append(_seconds(step, x, calls[name]) / len(x))
    return times


def _seconds(step: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor, calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        value = step(x)
    value.numpy()
    return (time.perf_counter() - started) / calls


def median_ratio(times: list[float], reference: list[float]) -> float:
    """Median over rounds of the ratio to a reference."""
    return statistics.median(t / r for t, r in zip(times, reference, strict=False))


def in_new_process(program: Path, *arguments: str, python: str = sys.executable) -> dict[str, Any]:
    """Run a program that ends its output with a line of JSON.

    Raises:
        SystemExit: if the program fails; with what it wrote.
    """
    result = subprocess.run([python, str(program), *arguments], capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"{program} {' '.join(arguments)} failed:\n{result.stderr[-3000:]}")
    return json.loads(result.stdout.strip().splitlines()[-1])
