"""Time a training step on two logical devices against one, on the same global batch.

Both use all cores of the machine. They take turns, and the median of the rounds' ratios counts.
"""

from report import Content, run_report

import argparse
import statistics
import sys
import time
from typing import Any

import keras
import pandas as pd
import tensorflow as tf
from rich.console import Console

import delvm_tf as dv

# Shape, layers, side of the filters, global batch; "keras" is an autoencoder of Keras alone.
CASES = {
    "dense 140 → 512 → 128 → 128, one probe": ((140,), (512, 128, 128), None, 4096),
    "the same, larger batch": ((140,), (512, 128, 128), None, 16384),
    "32 filters of 5×5 on 28×28×1, one probe": ((28, 28, 1), (32,), 5, 256),
    "Keras alone, 16 and 16 filters, squared error": ((28, 28, 1), "keras", 5, 256),
    "Keras alone, the same on few rows: what a step costs anyhow": ((12, 12, 1), "keras", 3, 8),
}


def make(shape: tuple[int, ...], layers: Any, side: int | None, x: tf.Tensor):
    """A compiled model and one batch for it."""
    if layers == "keras":
        convolutions = [keras.layers.Conv2D(16, side, activation="relu") for _ in range(2)]
        back = keras.layers.Conv2DTranspose(shape[-1], 2 * side - 1)
        network = keras.Sequential([keras.Input(shape), *convolutions, back])
        network.compile("adam", "mean_squared_error")
        return network, (x, x)
    network = dv.networks.ffnn(layers) if side is None else dv.networks.cnn(layers, side)
    model = dv.DELVM(network, dv.ScoreMatching(trace="hutchinson"), normalization="center")
    model.adapt(x)
    model.compile("adam")
    return model, x


def trained(shape: tuple[int, ...], layers: Any, side: int | None, rows: int, name: str,
            steps: int):  # fmt: skip
    """A function that trains for some steps and returns seconds per step; traced already."""
    x = tf.random.stateless_normal((rows, *shape), (0, 0))
    with dv.distribution.strategy(name).scope():
        keras.utils.set_random_seed(0)
        model, batch = make(shape, layers, side, x)
    data = tf.data.Dataset.from_tensors(batch).repeat(steps)

    def run() -> float:
        started = time.perf_counter()
        model.fit(data, epochs=1, verbose=0, shuffle=False)
        return (time.perf_counter() - started) / steps

    run()
    return run


def measure(args: argparse.Namespace, console: Console) -> tuple[str, Content]:
    """A row for each case."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    rows_of_table = []
    for title, (shape, layers, side, rows) in CASES.items():
        one, two = (
            trained(shape, layers, side, rows, name, args.steps) for name in ("one", "mirrored")
        )
        times = [(one(), two()) for _ in range(args.rounds)]
        ratios = sorted(b / a for a, b in times)
        best = min(b for _, b in times) / min(a for a, _ in times)
        rows_of_table.append({
            "network": title, "global batch": rows,
            "ms on one": f"{1000 * statistics.median(a for a, _ in times):.0f}",
            "two / one, median": f"{statistics.median(ratios):.2f}",
            "smallest to largest": f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
            "two / one of the shortest steps": f"{best:.2f}",
        })  # fmt: skip
    return (
        f"A training step on two logical CPU devices (MirroredStrategy) against one, same global "
        f"batch, float32, {args.rounds} rounds of {args.steps} steps.",
        [pd.DataFrame(rows_of_table)],
    )


if __name__ == "__main__":
    sys.exit(run_report(__file__, __doc__, measure, rounds=7, steps=10))
