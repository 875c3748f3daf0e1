"""Time training with `dv.TensorBoard` at its defaults against training without it.

The runs take turns, and the median of the rounds' ratios counts.
"""

from report import Content, run_report

import argparse
import statistics
import sys
import tempfile
import time

import keras
from rich.console import Console

import delvm_tf as dv


def measure(args: argparse.Namespace, console: Console) -> tuple[str, Content]:
    """The ratios of the times."""
    data = dv.datasets.load("ecg5000", protocol="standard", seed=0).validation_split(seed=0)
    model = dv.DELVM(dv.networks.ffnn((512, 128, 128)), scale=0.35)
    model.adapt(data.x_train)
    model.compile(keras.optimizers.Adam(1e-4))

    def seconds(callbacks: list[keras.callbacks.Callback], epochs: int) -> float:
        started = time.perf_counter()
        model.fit(data.x_train, epochs=epochs, batch_size=100, verbose=0, callbacks=callbacks)
        return time.perf_counter() - started

    def log(folder: str) -> keras.callbacks.Callback:
        return dv.TensorBoard(folder, validation=(data.x_test, data.y_test))

    ratios, alone = [], []
    with tempfile.TemporaryDirectory() as folder:
        seconds([log(f"{folder}/first")], 2)
        for index in range(args.rounds):
            alone.append(seconds([], args.epochs))
            ratios.append(seconds([log(f"{folder}/{index}")], args.epochs) / alone[-1])
    return (
        "Training on the heartbeats (dense 512, 128, 128) with `dv.TensorBoard` at its defaults "
        "and validation data, against training without.",
        [
            f"Median of {args.rounds} rounds of {args.epochs} epochs: "
            f"{statistics.median(ratios):.3f} of the time, from {min(ratios):.3f} to "
            f"{max(ratios):.3f}; {statistics.median(alone):.0f} s without."
        ],
    )


if __name__ == "__main__":
    sys.exit(run_report(__file__, __doc__, measure, rounds=3, epochs=150))
