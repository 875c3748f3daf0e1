"""Train on and score a stream larger than memory, and see what it takes.

Reports the peak of memory, and how long an epoch takes against the same number of steps on one
batch that is in memory and against reading alone: the input is the bottleneck where the first
ratio is far above one.
"""

from report import Content, run_report

import argparse
import sys
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
import tensorflow as tf
from peers.protocol import peak_megabytes
from rich.console import Console

import delvm_tf as dv

SHAPE = (64, 64, 3)
ROW_BYTES = 4 * 64 * 64 * 3


def images(number: int) -> Iterator[np.ndarray]:
    """Rows that take little time to make."""
    kept = np.random.default_rng(0).normal(size=(256, *SHAPE)).astype("float32")
    for k in range(number):
        yield kept[k % 256]


def measure(args: argparse.Namespace, console: Console) -> tuple[str, Content]:
    """Seconds and memory."""
    rows = int(args.gigabytes * 1e9 / ROW_BYTES)
    stream = dv.datasets.streams.stream(lambda: images(rows), args.batch_size, shuffle=2000)
    model = dv.DELVM(dv.networks.cnn((32,), 8, strides=8, seed=0), normalization="center")
    model.adapt(stream, steps=20)
    model.compile("adam")
    batch = next(iter(stream))
    steps = -(-rows // args.batch_size)
    model.fit(batch, batch_size=args.batch_size, epochs=2, verbose=0)  # traces

    console.print(f"training on {rows:,} images, and scoring them")
    seconds = {}
    started = time.perf_counter()
    model.fit(stream, epochs=1, verbose=0, shuffle=False, steps_per_epoch=steps)
    seconds["training on the stream"] = time.perf_counter() - started
    started = time.perf_counter()
    errors = model.reconstruction_error(stream)
    seconds["scoring the stream"] = time.perf_counter() - started
    assert errors.shape == (rows,)
    few = max(1, steps // 10)
    cached = tf.data.Dataset.from_tensors(batch).repeat(few)
    started = time.perf_counter()
    model.fit(cached, epochs=1, verbose=0, shuffle=False)
    seconds["as many steps on one batch in memory"] = (time.perf_counter() - started) * steps / few
    started = time.perf_counter()
    for _ in stream:
        pass
    seconds["reading alone"] = time.perf_counter() - started

    memory = seconds["as many steps on one batch in memory"]
    table = pd.DataFrame(
        {
            "": list(seconds),
            "seconds": [f"{value:.0f}" for value in seconds.values()],
            "against steps in memory": [f"{value / memory:.2f}" for value in seconds.values()],
        }
    )
    return (
        f"A stream of {rows * ROW_BYTES / 1e9:.1f} GB: {rows:,} images of 64×64×3 float32 from a "
        f"generator, batches of {args.batch_size}, a buffer of 2,000 rows; one layer of 32 filters "
        f"of 8×8, stride 8, exact score matching.",
        [
            f"Peak memory of the process, TensorFlow included: {peak_megabytes():.0f} MB.",
            table,
            "Steps in memory are measured on a tenth of them.",
        ],
    )


if __name__ == "__main__":
    sys.exit(run_report(__file__, __doc__, measure, gigabytes=10.0, batch_size=256))
