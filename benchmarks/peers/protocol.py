"""What the programs of this folder share: their arguments, the network's file and their answer.

They time one training step of exact score matching of one network, each with another library, and
run in an environment of their own. So this module needs NumPy only.

The energy is E(x) = ½‖x‖² − ½‖f(x)‖² and the loss, with u = ½‖f‖² and d values in x,

    mean over the batch of  ½‖x − ∇u(x)‖² − d + Δu(x).

The network's file is a NumPy archive of float32 arrays: `x`, a batch of images (batch, height,
width, channels) or vectors (batch, d), and `kernel_0`, `bias_0`, `kernel_1`, … in Keras's layout.
A kernel of four dimensions is a convolution with stride 1 and padding "same", one of two
dimensions a dense layer on the flattened values; a ReLU follows each.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

LEARNING_RATE = 1e-5  # small, that the timed steps stay close to the initial weights


def parser(description: str, methods: tuple[str, ...]) -> argparse.ArgumentParser:
    """The arguments that all programs understand; the first method is the default."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--network", type=Path, required=True, help="file with x and the weights")
    result.add_argument("--method", choices=methods, default=methods[0])
    result.add_argument("--batch-size", type=int, help="use only so many of the examples")
    result.add_argument("--steps", type=int, default=3, help="timed steps, after one that is not")
    result.add_argument("--threads", type=int, default=os.cpu_count())
    return result


def limit_threads(threads: int) -> None:
    """Keep the process to so many processors; to be called before the library is imported.

    Most libraries size their thread pools by what the process may use, and not all of them have
    a setting for it. Where the system has no such limit (macOS), nothing happens.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def load(path: Path, batch_size: int | None) -> tuple[np.ndarray, list[dict[str, np.ndarray]]]:
    """The batch and the layers, each a dictionary of `kernel` and `bias`."""
    with np.load(path) as archive:
        x = archive["x"][:batch_size]
        layers: list[dict[str, np.ndarray]] = []
        while f"kernel_{len(layers)}" in archive:
            index = len(layers)
            layers.append({name: archive[f"{name}_{index}"] for name in ("kernel", "bias")})
    if not layers:
        raise SystemExit(f"{path} has no kernel_0")
    return x, layers


def run(
    step: Callable[[], float],
    args: argparse.Namespace,
    batch: int,
    convert: Callable[[float], float] = float,
    **answer: Any,
) -> None:
    """Time the steps and print the answer as one line of JSON.

    The first step compiles and warms up; its loss is the one at the initial weights. The entry
    `loss` is the library's own value, `loss_per_example_sum` the same by the definition above.

    Args:
        step: makes a step and returns the loss before it, when the step is complete.
        args: the arguments of `parser`.
        batch: number of examples in a step.
        convert: from the library's value of the loss to the one of the definition above.
        **answer: further entries of the answer.
    """
    started = time.perf_counter()
    loss = step()
    first = time.perf_counter() - started
    seconds = []
    for _ in range(args.steps):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    answer |= {
        "method": args.method,
        "loss": loss,
        "loss_per_example_sum": convert(loss),
        "ms_per_image": 1e3 * statistics.median(seconds) / batch,
        "peak_mb": peak_megabytes(),
        "batch": batch,
        "compile_seconds": first - statistics.median(seconds),
        "steps": args.steps,
        "threads": args.threads,
    }
    print(json.dumps(answer), flush=True)


def peak_megabytes() -> float:
    """The most memory that the process has held."""
    status = Path("/proc/self/status")
    if status.exists():  # elsewhere a new process may inherit the figure of its parent
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
