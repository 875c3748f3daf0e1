"""Time the exported signatures against those of an autoencoder of the same size, in one process.

The models take turns request by request, so that the noise of the machine meets all of them.
"""

from report import Content, run_report

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pandas as pd
import tensorflow as tf
from rich.console import Console

import delvm_tf as dv

NETWORKS: dict[str, tuple[tuple[int, ...], Callable[[], Any]]] = {
    "heartbeats, dense 140 → 512 → 128 → 128": (
        (140,), lambda: dv.networks.ffnn((512, 128, 128), seed=0),
    ),
    "images 28×28×1, 32 filters of 5×5": ((28, 28, 1), lambda: dv.networks.cnn((32,), 5, seed=0)),
}  # fmt: skip
BATCHES = (1, 32, 256)
VARIANTS = ("float32", "XLA", "mixed_bfloat16")
SIGNATURES = ("reconstruction_error", "features", "serving_default")


def detector_of(shape: tuple[int, ...], network: Callable[[], Any], kind: str) -> Any:
    """A model with its random weights; only its arithmetic matters here."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(300, *shape)).astype("float32")
    policy = "mixed_bfloat16" if kind == "mixed_bfloat16" else "float32"
    keras.config.set_dtype_policy(policy)
    if kind == "autoencoder":
        autoencoder = dv.Autoencoder if len(shape) == 1 else dv.ConvAutoencoder
        model = autoencoder(network(), normalization="center")
    else:
        model = dv.DELVM(network(), normalization="center")
    keras.config.set_dtype_policy("float32")
    model.adapt(x)
    return dv.AnomalyDetector(model, "mean_std").fit(x)


def exported(shape: tuple[int, ...], network: Callable[[], Any], kind: str, folder: Path) -> Path:
    """The model as a SavedModel."""
    detector = detector_of(shape, network, kind)
    return dv.export_saved_model(detector, folder / kind, jit_compile=kind == "XLA", warmup=())


def onnx_sessions(
    shape: tuple[int, ...], network: Callable[[], Any], folder: Path
) -> dict[str, Any]:
    """The model's signatures as ONNX files, opened in their own runtime."""
    detector = detector_of(shape, network, "float32")
    return {
        name: onnxruntime.InferenceSession(
            dv.export_onnx(detector, folder / f"{name}.onnx", name).read_bytes(),
            providers=["CPUExecutionProvider"],
        )
        for name in SIGNATURES
    }


def answer(signature: Any, x: tf.Tensor) -> list[np.ndarray]:
    """One request."""
    return [value.numpy() for value in signature(x=x).values()]


def milliseconds(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Times of all calls, which take turns."""
    for call in calls.values():
        for _ in range(3):
            call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            times[name].append(1000 * (time.perf_counter() - started))
    return times


def start_up(folder: Path) -> float:
    """Seconds from loading to the first answer, in a new process, TensorFlow's import aside."""
    code = (
        "import sys, time, numpy as np, tensorflow as tf; started = time.perf_counter();"
        "served = tf.saved_model.load(sys.argv[1]).signatures['serving_default'];"
        "shape = served.structured_input_signature[1]['x'].shape;"
        "served(x=tf.zeros([1, *shape[1:]]));"
        "print(time.perf_counter() - started)"
    )
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def rows_of(name: str, folder: Path, rounds: int) -> list[dict[str, Any]]:
    """The rows of the table for one network."""
    shape, network = NETWORKS[name]
    folders = {k: exported(shape, network, k, folder) for k in ("autoencoder", *VARIANTS)}
    served = {k: tf.saved_model.load(str(f)).signatures for k, f in folders.items()}
    sessions = onnx_sessions(shape, network, folder)
    rows = []
    for batch in BATCHES:
        x = tf.random.stateless_normal((batch, *shape), (0, 0))
        for signature in SIGNATURES:
            calls = {
                kind: partial(answer, functions[signature], x) for kind, functions in served.items()
            }
            calls["ONNX"] = partial(sessions[signature].run, None, {"x": x.numpy()})
            times = milliseconds(calls, max(20, int(rounds / batch**0.5)))
            base = statistics.median(times["autoencoder"])
            own = np.asarray(times["float32"])
            rows.append({
                "request": f"{signature}, {batch} rows",
                "p50, ms": f"{np.median(own):.2f}", "p99, ms": f"{np.quantile(own, 0.99):.2f}",
                "rows / s": f"{1000 * batch / np.median(own):.0f}",
                **{kind.removeprefix("mixed_"): f"{statistics.median(times[kind]) / base:.2f}"
                   for kind in (*VARIANTS, "ONNX")},
            })  # fmt: skip
    return rows


def starts(folder: Path) -> str:
    """How long each model takes from loading to its first answer."""
    models = {file.parents[1].name: file.parent for file in folder.rglob("saved_model.pb")}
    seconds = [f"{name} {start_up(version):.2f} s" for name, version in sorted(models.items())]
    return f"Loading and first answer: {', '.join(seconds)}."


def measure(args: argparse.Namespace, console: Console) -> tuple[str, Content]:
    """A table for each network."""
    content: list[str | pd.DataFrame] = []
    with tempfile.TemporaryDirectory() as temporary:
        for number, name in enumerate(NETWORKS):
            folder = Path(temporary) / str(number)
            content += [
                f"{name}:",
                pd.DataFrame(rows_of(name, folder, args.rounds)),
                starts(folder),
            ]
    return (
        "Requests to exported signatures in one process. Ratios of medians to the same signature "
        "of an autoencoder (AE) with the same network and its mirror as decoder. ONNX: the same "
        "float32 model in ONNX Runtime.",
        content,
    )


if __name__ == "__main__":
    sys.exit(run_report(__file__, __doc__, measure, rounds=400))
