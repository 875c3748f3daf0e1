"""Time and weigh training steps of score matching against an autoencoder's, in one run.

Absolute times depend on the machine, so what counts are ratios: the methods take turns, round by
round, and the median of the rounds' ratios is reported, of the time by the clock and of the CPU
time of all threads. Where a step is long, its time is also compared with the arithmetic limit: its
multiplications at the rate of a large matrix product in the same run. All methods must agree on the
loss, or the program fails.
"""

from report import Rows, run_program

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from cases import BATCH, CASES, GROWTH, MEMORY, PEER_CASES, SPACINGS, Case
from charts import plot_growth, plot_methods, plot_spacings
from peers.protocol import peak_megabytes
from rich.console import Console
from steps import (
    Step,
    autoencoder_step,
    losses,
    make_cd_model,
    make_model,
    matrix_product,
    random_inputs,
    training_step,
)
from timing import median_ratio, ratios, rounds_of_times

import delvm_tf as dv
from delvm_tf.curvature.cost import multiplications
from delvm_tf.storage.ownership import claim
from delvm_tf.storage.paths import local_path

EXACT_TOLERANCE = 1e-3  # relative, in float32
STANDARD_ERRORS = 6.0  # that an estimate may be from the exact loss
DRAWS = 16
AUTOENCODER = "autoencoder"
PEERS = {
    "folx": ("folx_step.py", ["--method", "folx"]),
    "folx, dense Jacobian": ("folx_step.py", ["--method", "folx", "--sparsity", "0"]),
    "JAX, Hessian's trace": ("folx_step.py", ["--method", "jax-hessian-trace"]),
    "TorchEBM exact": ("torchebm_step.py", ["--method", "exact"]),
    "TorchEBM approx": ("torchebm_step.py", ["--method", "approx"]),
}
# For two layers: half a minute an image, and folx 13 GB.
TOO_LARGE = ("folx, dense Jacobian", "JAX, Hessian's trace")
Row = dict[str, Any]


def step_of(case: Case, method: str) -> Step:
    """The autoencoder's step, CD-1's, or that of score matching with a trace."""
    if method == AUTOENCODER:
        return autoencoder_step(case.network())
    if method == "CD-1":
        return training_step(make_cd_model(case.network()))
    return training_step(make_model(case.network(), method))


def check_agreement(case: Case) -> dict[str, tuple[Any, float]]:
    """The plan of each trace, and its loss at the initial weights.

    Raises:
        ValueError: if two methods disagree.
    """
    few = random_inputs(case.shape, 2)
    exact = losses(make_model(case.network(), "exact"), few)[0]
    found = {}
    for trace in case.batches:
        model = make_model(case.network(), trace)
        plan = model.objective.plan(model)
        values = losses(model, few, 1 if plan.exact else DRAWS)
        found[trace] = plan, float(values.mean())
        allowed = EXACT_TOLERANCE * np.abs(exact)
        if not plan.exact:
            allowed = allowed + STANDARD_ERRORS * values.std(axis=0, ddof=1) / np.sqrt(DRAWS)
        if np.any(np.abs(values.mean(axis=0) - exact) > allowed):
            raise ValueError(f"{case.name}: {trace} gives {values.mean(axis=0)}, not {exact}")
    return found


def time_case(case: Case, rounds: int, console: Console) -> list[Row]:
    """A row for the autoencoder, CD-1 and each trace."""
    console.print(f"timing {case.name}")
    plans = check_agreement(case)
    full = max(case.batches.values())
    product, factor, operations = matrix_product(2048, 4096)
    wanted = {(AUTOENCODER, batch) for batch in case.batches.values()}
    wanted |= {("CD-1", full), *case.batches.items()}
    steps = {(m, n): (step_of(case, m), random_inputs(case.shape, n)) for m, n in wanted}
    times = rounds_of_times({"product": (product, factor), **steps}, rounds)
    # An autoencoder's step takes 6 times the multiplications of a pass, each with an addition.
    forward = 12 * multiplications(case.network()).forward * len(factor) / operations

    def row(name: str, key: tuple[str, int], cost: float | None, **more: Any) -> Row:
        taken, batch = times[key], key[1]
        limit = [forward * (cost or 0) * seconds for seconds in times["product"].clock]
        return {
            "network": case.name, "method": name, "exact": "", "probes": "", "batch": batch,
            "ms an example": f"{1e3 * statistics.median(taken.clock):.4g}",
            **ratios(taken, times[AUTOENCODER, batch]),
            "times the arithmetic limit": f"{median_ratio(taken.clock, limit):.3g}" if cost else "",
            "peak MB": "", "loss": "", **more,
        }  # fmt: skip

    rows = [row(AUTOENCODER, (AUTOENCODER, full), 1.0), row("CD-1", ("CD-1", full), None)]
    for key in case.batches.items():
        plan, loss = plans[key[0]]
        method = f" ({plan.method})" if key[0] == "auto" else ""
        rows.append(row(
            f"SM, {key[0].replace('_', ' ')}{method}", key, plan.cost,
            exact="yes" if plan.exact else "no", loss=f"{loss:.6g}",
            probes="" if plan.probes is None else plan.probes.count,
        ))  # fmt: skip
    return rows


def memory_of(case: Case, method: str, batch: int) -> int:
    """What a new process that takes a step holds at its peak, in megabytes."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_memory_of_step, case, method, batch).result()


def _memory_of_step(case: Case, method: str, batch: int) -> int:
    step = tf.function(tf.reduce_sum) if method == "nothing" else step_of(case, method)
    step(random_inputs(case.shape, batch))
    return round(peak_megabytes())


def peer_rows(case: Case, interpreters: dict[str, str], rounds: int, console: Console) -> list[Row]:
    """Our exact step and, with the same network and weights, those of other libraries.

    Each library runs in an interpreter of its own, right after ours.
    """
    console.print(f"other libraries on {case.name}")
    x = random_inputs(case.shape, 2)
    model = make_model(case.network(), "exact")
    expected = float(losses(model, x).mean())
    weights = case.network().get_weights()
    batch = BATCH if len(case.layers) == 1 else 10
    many = random_inputs(case.shape, batch)
    times = rounds_of_times({"ours": (training_step(model), many)}, rounds)["ours"]
    ours = 1e3 * statistics.median(times.clock)

    def row(method: str, exact: bool, examples: int, ms: float, loss: float) -> Row:
        return {
            "network": case.name, "method": method, "exact": "yes" if exact else "no",
            "batch": examples, "ms an example": f"{ms:.4g}", "times ours": f"{ms / ours:.4g}",
            "loss": f"{loss:.6g}",
        }  # fmt: skip

    rows = [row(f"SM, exact ({model.objective.plan(model).method})", True, batch, ours, expected)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.npz"
        arrays = {f"kernel_{i}": w for i, w in enumerate(weights[::2])}
        arrays |= {f"bias_{i}": w for i, w in enumerate(weights[1::2])}
        np.savez(file, x=x.numpy(), **arrays)
        for name, (program, arguments) in PEERS.items():
            python = interpreters.get(program)
            if python is None or (len(case.layers) > 1 and name in TOO_LARGE):
                continue
            answer = run_peer(python, program, "--network", str(file), *arguments)
            exact = "approx" not in name
            if exact and abs(answer["loss"] / expected - 1) > EXACT_TOLERANCE:
                raise ValueError(f"{name} gives the loss {answer['loss']}, not {expected}")
            label = f"{name} ({answer['library']})"
            rows.append(row(label, exact, answer["batch"], answer["ms_per_image"], answer["loss"]))
    return rows


def run_peer(python: str, program: str, *arguments: str) -> dict[str, Any]:
    """What another library's program answers on its last line.

    Raises:
        ChildProcessError: if the program fails; with what it wrote.
    """
    command = [python, str(Path(__file__).parent / "peers" / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildProcessError(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def spacing_rows(scale: str, rounds: int, console: Console) -> list[Row]:
    """Variance of the estimate and cost of a step for each lattice spacing."""
    case, draws = SPACINGS[scale]
    console.print(f"variance over lattice spacings, {case.name}")
    batch = case.batches["lattice"]
    x, source = images_or_noise(case.shape, batch)
    exact = losses(make_model(case.network(), "exact"), x)[0]
    field = dv.curvature.receptive_field(case.network(), case.shape)[0]
    steps: dict[str, Any] = {AUTOENCODER: (autoencoder_step(case.network()), x)}
    variances = {}
    for spacing in range(1, field + 1):
        model = make_model(case.network(), "lattice", spacing=spacing)
        exact_now = model.objective.plan(model).exact
        errors = losses(model, x, 1 if exact_now else draws) - exact
        variances[spacing] = float(np.square(errors).mean())
        steps[str(spacing)] = (training_step(model), x)
    times = rounds_of_times(steps, rounds)
    return [
        {
            "network": case.name, "inputs": source, "spacing": spacing, "probes": spacing**2,
            "mean squared error of the trace": f"{variance:.4g}",
            "relative to spacing 1": f"{variance / variances[1]:.3g}",
            **ratios(times[str(spacing)], times[AUTOENCODER]),
        }
        for spacing, variance in variances.items()
    ]  # fmt: skip


def images_or_noise(shape: tuple[int, ...], batch: int) -> tuple[tf.Tensor, str]:
    """Centred Fashion-MNIST images where they are at hand and fit, else normal noise."""
    folder = Path(os.environ.get("DELVM_DATA_DIR", ""))
    if shape != (28, 28, 1) or not (folder / "fashion_mnist.npz").exists():
        return random_inputs(shape, batch), "noise"
    images = dv.datasets.load("fashion_mnist").x_train[:batch].reshape(batch, *shape)
    return tf.constant(images / 127.5 - 1.0, tf.float32), "Fashion-MNIST"


def growth_rows(scale: str, rounds: int, console: Console) -> list[Row]:
    """Times of a step over image size and depth."""
    rows = []
    for case in GROWTH[scale]:
        made = time_case(case, rounds, console)
        rows += [
            {
                "network": case.name, "side": case.shape[0], "depth": len(case.layers),
                **{k: r[k] for k in ("method", "exact", "probes", "ms an example",
                                     "times the autoencoder", "times its CPU time")},
            }
            for r in made
        ]  # fmt: skip
    return rows


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=list(CASES), default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--networks", default="", metavar="TEXT",
        help="only networks whose name in the table contains this, for methods",
    )  # fmt: skip
    parser.add_argument("--traces", nargs="+", help="only these traces, for methods")
    sections = list(SECTIONS)
    parser.add_argument("--sections", nargs="+", default=sections, choices=sections)
    parser.add_argument("--folx-python", help="an interpreter that has jax and folx")
    parser.add_argument("--torchebm-python", help="an interpreter that has torchebm")
    parser.add_argument("--output", type=Path, default=Path("runs/benchmarks"))
    return parser.parse_args()


def chosen_cases(args: argparse.Namespace) -> list[Case]:
    """The networks and traces that the command line asks for.

    Raises:
        ValueError: if there is none.
    """
    cases = [
        replace(case, batches={
            trace: batch for trace, batch in case.batches.items()
            if args.traces is None or trace in args.traces
        })
        for case in CASES[args.scale] if args.networks in case.name
    ]  # fmt: skip
    cases = [case for case in cases if case.batches]
    if not cases:
        raise ValueError(
            f"no network of scale {args.scale} has {args.networks!r} in its name and a trace among "
            f"{args.traces or 'all'}"
        )
    return cases


def methods(args: argparse.Namespace, folder: Path, console: Console) -> None:
    """Times of all methods on all networks, and their memory if that is asked for too."""
    table = Rows(folder / "methods.csv", console)
    for case in chosen_cases(args):
        made = time_case(case, args.rounds, console)
        if "memory" in args.sections:
            for row, method in zip(made, [AUTOENCODER, "CD-1", *case.batches], strict=True):
                row["peak MB"] = memory_of(case, method, row["batch"])
        table.add(case.name, made)
        keras.utils.clear_session()
    plot_methods(table.rows, folder / "methods.png")


def memory(args: argparse.Namespace, folder: Path, console: Console) -> None:
    """The peak of an exact step at the full batch."""
    case, method, batch = MEMORY[args.scale]
    row = {
        "network": case.name, "method": f"SM, {method}", "batch": batch,
        "peak MB": memory_of(case, method, batch),
        "peak MB of TensorFlow alone": memory_of(case, "nothing", 1),
    }  # fmt: skip
    Rows(folder / "memory.csv", console).add(f"memory of an exact step, {case.name}", [row])


def growth(args: argparse.Namespace, folder: Path, console: Console) -> None:
    """Times over the size of the image and over depth."""
    table = Rows(folder / "growth.csv", console)
    table.add("growth with image size and depth", growth_rows(args.scale, args.rounds, console))
    plot_growth(table.rows, folder / "growth.png")


def spacings(args: argparse.Namespace, folder: Path, console: Console) -> None:
    """What the error of an estimate costs."""
    table = Rows(folder / "spacings.csv", console)
    table.add("lattice spacings", spacing_rows(args.scale, args.rounds, console))
    plot_spacings(table.rows, folder / "spacings.png")


def peers(args: argparse.Namespace, folder: Path, console: Console) -> None:
    """Times of other libraries whose interpreters are given."""
    given = {"folx_step.py": args.folx_python, "torchebm_step.py": args.torchebm_python}
    interpreters = {program: python for program, python in given.items() if python}
    table = Rows(folder / "peers.csv", console)
    for case in PEER_CASES[args.scale] if interpreters else ():
        table.add(case.name, peer_rows(case, interpreters, args.rounds, console))


SECTIONS = {
    "methods": methods, "memory": memory, "growth": growth, "spacings": spacings, "peers": peers,
}  # fmt: skip


def run(args: argparse.Namespace, console: Console) -> None:
    """Measure, show and write, section by section."""
    folder = claim(local_path(args.output, "--output"), "benchmarks of score matching")
    for name, section in SECTIONS.items():
        if name in args.sections:
            section(args, folder, console)
    console.print(f"\nTables and figures: {folder}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    sys.exit(run_program(parse_arguments, run))
