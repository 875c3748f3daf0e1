"""Time training with `dv.TensorBoard` at its defaults against training without it.

The runs take turns, and the median of the rounds' ratios counts.
"""

import argparse
import os
import statistics
import tempfile
import time
from datetime import date
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

import delvm_tf as dv


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/callback.md"))
    args = parser.parse_args()
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
    text = (
        f"Training for {args.epochs} epochs of the heartbeats (dense 512, 128, 128) with "
        f"`dv.TensorBoard` and validation data, against training without: median "
        f"{statistics.median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f} in "
        f"{args.rounds} rounds; {statistics.median(alone):.0f} s without, {os.cpu_count()} cores, "
        f"{date.today()}.\n\n    python benchmarks/callback.py --epochs {args.epochs}\n"
    )
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
