"""Time a training step on two logical devices against one, on the same global batch.

Both use all cores of the machine. They take turns, and the median of the rounds' ratios counts.
"""

import argparse
import os
import statistics
import time
from datetime import date
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

import delvm_tf as dv

CASES = {
    "dense 140 → 512 → 128 → 128, one probe": ((140,), (512, 128, 128), None, 4096),
    "2 × 32 filters of 5×5 on 28×28×1, one probe": ((28, 28, 1), (32, 32), 5, 256),
    "70 filters of 5×5 on 28×28×1, closed form": ((28, 28, 1), (70,), 5, 256),
}


def trained(shape: tuple[int, ...], layers: tuple[int, ...], side: int | None, rows: int,
            name: str, steps: int):  # fmt: skip
    """A function that trains for some steps, traced already."""
    x = tf.random.stateless_normal((rows, *shape), (0, 0))
    data = tf.data.Dataset.from_tensors(x).repeat(steps)
    with dv.distribution.strategy(name).scope():
        keras.utils.set_random_seed(0)
        network = dv.networks.ffnn(layers) if side is None else dv.networks.cnn(layers, side)
        model = dv.DELVM(network, normalization="center")
        model.adapt(x)
        model.compile("adam")

    def run() -> float:
        started = time.perf_counter()
        model.fit(data, epochs=1, verbose=0)
        return (time.perf_counter() - started) / steps

    run()
    return run


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/distribution.md"))
    args = parser.parse_args()
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    lines = [
        f"A training step on two logical CPU devices (MirroredStrategy) against one, same global "
        f"batch, {os.cpu_count()} cores, float32, {args.rounds} rounds of {args.steps} steps, "
        f"{date.today()}.",
        "", "    python benchmarks/distribution.py", "",
        "| network | global batch | ms on one | two / one, median | smallest to largest |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    for title, (shape, layers, side, rows) in CASES.items():
        one, two = (
            trained(shape, layers, side, rows, name, args.steps) for name in ("one", "mirrored")
        )
        times = [(one(), two()) for _ in range(args.rounds)]
        ratios = sorted(b / a for a, b in times)
        alone = 1000 * statistics.median(a for a, _ in times)
        lines.append(
            f"| {title} | {rows} | {alone:.0f} | {statistics.median(ratios):.2f} | "
            f"{ratios[0]:.2f} to {ratios[-1]:.2f} |"
        )
        print(lines[-1], flush=True)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
