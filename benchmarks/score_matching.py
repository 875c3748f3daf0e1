"""Time and weigh training steps of score matching against an autoencoder's, in one run.

Absolute times depend on the machine, so what counts are ratios: the methods take turns, round by
round, and the median of the rounds' ratios is reported, of the time by the clock and of the CPU
time of all threads. Where a step is long, its time is also compared with the arithmetic limit: its
multiplications at the rate of a large matrix product in the same run. All methods must agree on the
loss, or the program fails.
"""

import argparse
import json
import os
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from cases import BATCH, CASES, GROWTH, MEMORY, PEER_CASES, SPACINGS, Case
from peers.protocol import peak_megabytes
from rich.console import Console
from rich.table import Table
from steps import (
    autoencoder_step,
    losses,
    make_cd_model,
    make_model,
    matrix_product,
    random_inputs,
    training_step,
)
from timing import Times, in_new_process, median_ratio, ratios, rounds_of_times

import delvm_tf as dv
from delvm_tf.curvature.cost import multiplications
from delvm_tf.plots.figure import new_figure, save_figure
from delvm_tf.storage.ownership import claim, write_text
from delvm_tf.storage.paths import local_path
from trainers.evaluation.tables import csv_table

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
SECTIONS = ["methods", "memory", "growth", "spacings", "peers"]
# For two layers: half a minute an image, and folx 13 GB.
TOO_LARGE = ("folx, dense Jacobian", "JAX, Hessian's trace")
Row = dict[str, Any]


def check_agreement(case: Case) -> dict[str, float]:
    """The loss at the initial weights by each method.

    Raises:
        SystemExit: if two methods disagree.
    """
    few = random_inputs(case.shape, 2)
    exact = losses(make_model(case.network(), "exact"), few)[0]
    means = {}
    for trace in case.batches:
        model = make_model(case.network(), trace)
        plan = model.objective.plan(model)
        values = losses(model, few, 1 if plan.exact else DRAWS)
        means[trace] = float(values.mean())
        allowed = EXACT_TOLERANCE * np.abs(exact)
        if not plan.exact:
            allowed = allowed + STANDARD_ERRORS * values.std(axis=0, ddof=1) / np.sqrt(DRAWS)
        if np.any(np.abs(values.mean(axis=0) - exact) > allowed):
            raise SystemExit(f"{case.name}: {trace} gives {values.mean(axis=0)}, not {exact}")
    return means


def time_case(case: Case, rounds: int, console: Console) -> list[Row]:
    """A row for the autoencoder, CD-1 and each trace."""
    console.print(f"timing {case.name}")
    loss = check_agreement(case)
    full = max(case.batches.values())
    product, factor, operations = matrix_product(2048, 4096)
    steps: dict[str, Any] = {"product": (product, factor)}
    for batch in sorted(set(case.batches.values())):
        x = random_inputs(case.shape, batch)
        steps[f"{AUTOENCODER} {batch}"] = (autoencoder_step(case.network()), x)
    x = random_inputs(case.shape, full)
    steps["CD-1"] = (training_step(make_cd_model(case.network())), x)
    models = {trace: make_model(case.network(), trace) for trace in case.batches}
    for trace, model in models.items():
        x = random_inputs(case.shape, case.batches[trace])
        steps[trace] = (training_step(model), x)
    times = rounds_of_times(steps, rounds)
    # Seconds that a multiplication and an addition take in each round.
    unit = [seconds * len(factor) / operations for seconds in times["product"].clock]
    forward = multiplications(case.network()).forward

    def row(method: str, batch: int, taken: Times, cost: float | None) -> Row:
        limit = "" if cost is None else f"{_limit_ratio(taken.clock, cost, forward, unit):.3g}"
        return {
            "network": case.name, "method": method, "exact": "", "probes": "", "batch": batch,
            "ms an example": f"{1e3 * statistics.median(taken.clock):.4g}",
            **ratios(taken, times[f"{AUTOENCODER} {batch}"]),
            "times the arithmetic limit": limit,
            "peak MB": "", "loss": "",
        }  # fmt: skip

    rows = [row(AUTOENCODER, full, times[f"{AUTOENCODER} {full}"], 1.0)]
    rows.append(row("CD-1", full, times["CD-1"], None))
    for trace, model in models.items():
        plan = model.objective.plan(model)
        name = f"SM, {trace.replace('_', ' ')}"
        if trace == "auto":
            name += f" ({plan.method})"
        made = row(name, case.batches[trace], times[trace], plan.cost)
        made |= {
            "exact": "yes" if plan.exact else "no", "loss": f"{loss[trace]:.6g}",
            "probes": "" if plan.probes is None else plan.probes.count,
        }  # fmt: skip
        rows.append(made)
    return rows


def _limit_ratio(seconds: list[float], cost: float, forward: int, unit: list[float]) -> float:
    """Median over rounds of a step's time over that of its multiplications alone.

    An autoencoder's step takes 6 times the `forward` multiplications, each with an addition.
    """
    operations = 12.0 * forward * cost
    return median_ratio(seconds, [operations * u for u in unit])


def memory_of(case_index: str, method: str, batch: int, scale: str) -> dict[str, float]:
    """What a process that takes a step holds at its peak, in megabytes."""
    program = Path(__file__)
    return in_new_process(program, "--scale", scale, "--memory-of", case_index, method, str(batch))


def measure_memory(case: Case, method: str, batch: int) -> None:
    """Take a step and print the peak of this process; for `memory_of`."""
    x = random_inputs(case.shape, batch)
    if method == AUTOENCODER:
        step = autoencoder_step(case.network())
    elif method == "CD-1":
        step = training_step(make_cd_model(case.network()))
    elif method == "nothing":
        step = tf.function(tf.reduce_sum)
    else:
        step = training_step(make_model(case.network(), method))
    loss = float(step(x))
    print(json.dumps({"peak MB": round(peak_megabytes()), "loss": loss}))


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
            path = Path(__file__).parent / "peers" / program
            answer = in_new_process(path, "--network", str(file), *arguments, python=python)
            exact = "approx" not in name
            if exact and abs(answer["loss"] / expected - 1) > EXACT_TOLERANCE:
                raise SystemExit(f"{name} gives the loss {answer['loss']}, not {expected}")
            label = f"{name} ({answer['library']})"
            rows.append(row(label, exact, answer["batch"], answer["ms_per_image"], answer["loss"]))
    return rows


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
                "side": case.shape[0], "depth": len(case.layers),
                **{k: r[k] for k in ("method", "exact", "probes", "ms an example",
                                     "times the autoencoder", "times its CPU time")},
            }
            for r in made
        ]  # fmt: skip
    return rows


def plot_growth(rows: list[Row], path: Path) -> None:
    """Milliseconds an example over image size and over depth."""
    figure, axes = new_figure(9.0, 3.8, columns=2)
    depth = min(r["depth"] for r in rows if r["side"] == max(r["side"] for r in rows))
    side = rows[-1]["side"]
    for axis, key, chosen in (
        (axes[0, 0], "side", [r for r in rows if r["depth"] == depth]),
        (axes[0, 1], "depth", [r for r in rows if r["side"] == side]),
    ):
        kinds = {"exact": "SM, exact", "auto": "SM, default"}
        for kind in (AUTOENCODER, "CD-1", *kinds):
            points = {
                r[key]: float(r["ms an example"])
                for r in chosen
                if r["method"] == kind or r["method"].startswith(f"SM, {kind}")
            }
            axis.plot(*zip(*sorted(points.items()), strict=True), "o-", label=kinds.get(kind, kind))
        axis.set_yscale("log")
        axis.set_xlabel({"side": "side of the image", "depth": "convolutional layers"}[key])
        axis.set_ylabel("ms an example and step")
    axes[0, 0].legend(frameon=False)
    save_figure(figure, path)


def plot_spacings(rows: list[Row], path: Path) -> None:
    """Error of the trace estimate against the cost of a step."""
    figure, axes = new_figure(5.5, 3.8)
    axis = axes[0, 0]
    estimated = rows[:-1]
    axis.plot(
        [float(r["times the autoencoder"]) for r in estimated],
        [float(r["relative to spacing 1"]) for r in estimated], "o-",
    )  # fmt: skip
    for r in estimated:
        at = float(r["times the autoencoder"]), float(r["relative to spacing 1"])
        axis.annotate(f" {r['spacing']}", at)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("cost of a step, in steps of an autoencoder")
    axis.set_ylabel("variance, relative to one random probe")
    axis.set_title("lattice spacings")
    save_figure(figure, path)


def plot_methods(rows: list[Row], path: Path) -> None:
    """Every method's cost, network by network."""
    figure, axes = new_figure(8.0, 0.27 * len(rows) + 1.2)
    axis = axes[0, 0]
    labels = [f"{r['network']}: {r['method']}" for r in rows]
    colors = ["#2a6f97" if r["exact"] == "yes" else "#9fbfd1" for r in rows]
    axis.barh(labels, [float(r["times the autoencoder"]) for r in rows], color=colors)
    axis.invert_yaxis()
    axis.set_xscale("log")
    axis.tick_params(labelsize=7)
    axis.set_xlabel("cost of a step, in steps of an autoencoder (dark: exact)")
    save_figure(figure, path)


def write_csv(rows: list[Row], path: Path) -> None:
    """Write rows of equal keys."""
    write_text(path, csv_table(rows))


def show(rows: list[Row], title: str, console: Console) -> None:
    """Print rows as a table."""
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column, justify="left" if column in ("network", "method") else "right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)


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
    parser.add_argument(
        "--sections", nargs="+", default=SECTIONS, choices=SECTIONS,
    )  # fmt: skip
    parser.add_argument("--folx-python", help="an interpreter that has jax and folx")
    parser.add_argument("--torchebm-python", help="an interpreter that has torchebm")
    parser.add_argument("--output", type=Path, default=Path("runs/benchmarks"))
    parser.add_argument("--memory-of", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def chosen_cases(args: argparse.Namespace) -> list[tuple[int, Case]]:
    """The networks and traces that the command line asks for, with their places in the list.

    Raises:
        SystemExit: if there is none.
    """
    cases = [
        (index, replace(case, batches={
            trace: batch for trace, batch in case.batches.items()
            if args.traces is None or trace in args.traces
        }))
        for index, case in enumerate(CASES[args.scale]) if args.networks in case.name
    ]  # fmt: skip
    cases = [(index, case) for index, case in cases if case.batches]
    if not cases:
        raise SystemExit(
            f"no network of scale {args.scale} has {args.networks!r} in its name and a trace among "
            f"{args.traces or 'all'}"
        )
    return cases


def main() -> None:
    """Measure and print; write CSV and PNG."""
    args = parse_arguments()
    if args.memory_of:
        index, method, batch = args.memory_of
        measure_memory(CASES[args.scale][int(index)], method, int(batch))
        return
    args.output = claim(local_path(args.output, "--output"), "benchmarks of score matching")
    console = Console(width=170)
    interpreters = {
        name: python
        for name, python in (
            ("folx_step.py", args.folx_python), ("torchebm_step.py", args.torchebm_python),
        )
        if python
    }  # fmt: skip
    if "methods" in args.sections:
        rows: list[Row] = []
        for index, case in chosen_cases(args):
            made = time_case(case, args.rounds, console)
            if "memory" in args.sections:
                traces = [AUTOENCODER, "CD-1", *case.batches]
                for row, method in zip(made, traces, strict=True):
                    batch = int(row["batch"])
                    row["peak MB"] = memory_of(str(index), method, batch, args.scale)["peak MB"]
            show(made, case.name, console)
            rows += made
            write_csv(rows, args.output / "methods.csv")
            keras.utils.clear_session()
        plot_methods(rows, args.output / "methods.png")
    if "memory" in args.sections:
        case, method, batch = MEMORY[args.scale]
        index = str(CASES[args.scale].index(case))
        alone = memory_of(index, "nothing", 1, args.scale)["peak MB"]
        peak = memory_of(index, method, batch, args.scale)["peak MB"]
        rows = [
            {"network": case.name, "method": f"SM, {method}", "batch": batch, "peak MB": peak,
             "peak MB of TensorFlow alone": alone},
        ]  # fmt: skip
        show(rows, "memory of an exact step", console)
        write_csv(rows, args.output / "memory.csv")
    if "growth" in args.sections:
        rows = growth_rows(args.scale, args.rounds, console)
        show(rows, "growth with image size and depth", console)
        write_csv(rows, args.output / "growth.csv")
        plot_growth(rows, args.output / "growth.png")
    if "spacings" in args.sections:
        rows = spacing_rows(args.scale, args.rounds, console)
        show(rows, "lattice spacings", console)
        write_csv(rows, args.output / "spacings.csv")
        plot_spacings(rows, args.output / "spacings.png")
    if "peers" in args.sections and interpreters:
        rows = []
        for case in PEER_CASES[args.scale]:
            rows += peer_rows(case, interpreters, args.rounds, console)
            show(rows, "other libraries", console)
            write_csv(rows, args.output / "peers.csv")
    console.print(f"written to {args.output}")


if __name__ == "__main__":
    main()
