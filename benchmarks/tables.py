"""Fit and score a detector on a .csv file of mixed columns, tell reasons, and see what it takes.

The file has numbers of which some are missing, text and truth values, made from a seed in a
temporary folder. Each step is a process of its own, so that its peak of memory is known.
"""

from report import Content, run_report

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from peers.protocol import peak_megabytes
from pyarrow import csv
from rich.console import Console

import delvm_tf as dv
from delvm_tf.serving.scoring import score_files

NUMBERS, TEXTS, TRUTHS = 25, 3, 2
MISSING = 0.01
AT_ONCE = 50_000
REASONS = 3


def write(path: Path, rows: int) -> None:
    """A file of correlated numbers, text that goes with them, and truth values."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(8, NUMBERS))
    writer = None
    for start in range(0, rows, AT_ONCE):
        n = min(AT_ONCE, rows - start)
        hidden = rng.normal(size=(n, 8))
        values = hidden @ mixing + 0.3 * rng.normal(size=(n, NUMBERS))
        lost = rng.random((n, NUMBERS)) < MISSING
        columns: dict[str, Any] = {
            f"x{k}": pa.array(values[:, k], mask=lost[:, k]) for k in range(NUMBERS)
        }
        for k in range(TEXTS):
            codes = np.clip(3 * hidden[:, k] + 10, 0, 20).astype(int)
            columns[f"text{k}"] = pa.array(np.char.add("kind ", codes.astype(str)))
        for k in range(TRUTHS):
            columns[f"truth{k}"] = pa.array(hidden[:, k] > 0)
        table = pa.table(columns)
        writer = writer or csv.CSVWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def fit(path: Path, folder: Path) -> None:
    """The default detector, from the file to a SavedModel."""
    detector = dv.AnomalyDetector().fit(dv.datasets.open_table(path))
    detector.save(folder / "detector")
    dv.export_saved_model(detector, folder / "served", explain=True)


def score(path: Path, folder: Path) -> None:
    """The scores of all rows."""
    detector = dv.load_detector(folder / "detector")
    np.save(folder / "scores.npy", detector.anomaly_score(dv.datasets.open_table(path)))


def score_with_reasons(path: Path, folder: Path) -> None:
    """The scores of all rows as a file, with the columns that raise each most."""
    score_files(dv.serving.load(folder / "served"), path, folder / "scores.csv", explain=REASONS)


def timed(step: Callable[..., None], *arguments: Any) -> tuple[float, float, float]:
    """Seconds of a step by the clock and of all its threads, and the peak of its process in MB."""
    clock, cpu = time.perf_counter(), time.process_time()
    step(*arguments)
    return time.perf_counter() - clock, time.process_time() - cpu, peak_megabytes()


def measure(args: argparse.Namespace, console: Console) -> tuple[str, Content]:
    """Seconds, rows a second and memory."""
    rows = args.rows
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "rows.csv"
        write(path, rows)
        size = path.stat().st_size / 1e6
        steps = {"fit": fit, "score": score, f"score, {REASONS} reasons": score_with_reasons}
        for title, step in steps.items():
            console.print(f"{title}: {rows:,} rows of {size:,.0f} MB")
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, context) as pool:
                seconds, cpu, peak = pool.submit(timed, step, path, folder).result()
            found.append(
                {
                    "": title,
                    "seconds": f"{seconds:.0f}",
                    "seconds of CPU": f"{cpu:.0f}",
                    "rows a second": f"{rows / seconds:,.0f}",
                    "peak MB": f"{peak:,.0f}",
                }
            )
        scores = np.load(folder / "scores.npy")
        assert scores.shape == (rows,)
        assert np.isfinite(scores).all()
    return (
        f"A .csv file of {rows:,} rows and {size:,.0f} MB: {NUMBERS} columns of numbers, "
        f"{MISSING:.0%} of them missing, {TEXTS} of text with up to 21 values, {TRUTHS} of truth "
        f"values; the default detector.",
        ["Peak memory is that of the process, TensorFlow included.", pd.DataFrame(found)],
    )


if __name__ == "__main__":
    sys.exit(run_report(__file__, __doc__, measure, rows=1_000_000))
