"""Time a training step of every model by every objective against an autoencoder's, in one run.

Each model has the same layers as the autoencoder, where it has layers to choose. The methods take
turns, round by round, and the median of the rounds' ratios is reported, of the time by the clock
and of the CPU time of all threads.
"""

from report import Rows, run_program

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

from cases import BATCH, Case
from rich.console import Console
from steps import autoencoder_step, random_inputs, ready, training_step
from timing import Times, median_ratio, ratios, rounds_of_times

from delvm_tf.catalog import MODELS, make_model, make_objective
from delvm_tf.curvature.cost import multiplications
from delvm_tf.storage.ownership import claim
from delvm_tf.storage.paths import local_path

AUTOENCODER = "AE, tied weights"
CASES: dict[str, list[Case]] = {
    "cpu": [
        Case("dense 140 → 512 → 256", (140,), (512, 256), None, {"auto": BATCH}),
        Case("1 × 70 filters of 5×5 on 28×28×1", (28, 28, 1), (70,), 5, {"auto": BATCH}),
        Case("2 × 70 filters of 5×5 on 28×28×1", (28, 28, 1), (70, 70), 5, {"auto": BATCH}),
    ],
    "smoke": [Case("dense 6 → 8", (6,), (8,), None, {"auto": 4})],
}
# A step of Langevin chains costs in proportion to k; ten tell as much as sixty.
SETTINGS: dict[str, dict[str, Any]] = {
    "persistent-cd": {"chains": BATCH},
    "langevin-cd": {"k": 10, "chains": BATCH, "buffer": 500},
}
ONE_LAYER = ("gaussian-rbm", "conv-rbm")
# On large networks, where a step takes seconds, a few models stand for their kind.
LARGE = 2_000_000  # multiplications of a forward pass for an example
REPRESENTATIVES = ("delvm", "dem", "conv-autoencoder")
Row = dict[str, Any]


def pairs(case: Case) -> list[tuple[str, str]]:
    """The models that have the layers of a case, with all their objectives."""
    kind = "units" if case.kernel_size is None else "filters"
    chosen = []
    for name, model in MODELS.items():
        if name == "conv-autoencoder" and kind == "units":
            continue
        if name == "autoencoder" and kind == "filters":
            continue
        if model.layers not in ("network", kind):
            continue
        if name in ONE_LAYER and len(case.layers) > 1:
            continue
        large = multiplications(case.network()).forward > LARGE
        if large and name not in REPRESENTATIVES:
            continue
        chosen += [
            (name, objective)
            for objective in model.objectives
            if not (large and objective == "langevin-cd")
        ]
    return chosen


def model_step(case: Case, name: str, objective: str) -> Any:
    """A training step of a model."""
    layers: dict[str, Any] = (
        {"units": list(case.layers)}
        if case.kernel_size is None
        else {"filters": list(case.layers), "kernel_size": case.kernel_size}
    )
    if MODELS[name].layers == "network":
        layers["input_shape"] = case.shape
    if name.startswith("cebm"):
        layers["latents"] = 32
    loss = make_objective(objective, seed=0, **SETTINGS.get(objective, {}))
    model = make_model(name, loss, normalization="none", seed=0, **layers)
    return training_step(ready(model, (None, *case.shape)))


def time_case(case: Case, rounds: int, console: Console) -> list[Row]:
    """A row for the autoencoder and each model and objective."""
    console.print(f"timing {case.name}")
    x = random_inputs(case.shape, case.batches["auto"])
    steps: dict[Any, Any] = {AUTOENCODER: (autoencoder_step(case.network()), x)}
    for pair in pairs(case):
        steps[pair] = (model_step(case, *pair), x)
    times = rounds_of_times(steps, rounds)
    return [
        {
            "network": case.name,
            "model": name if isinstance(name, str) else MODELS[name[0]].title,
            "objective": "reconstruction" if isinstance(name, str) else name[1],
            "ms an example": f"{1e3 * statistics.median(taken.clock):.4g}",
            **ratios(taken, times[AUTOENCODER]),
            "times its SM step": _against_score_matching(name, times),
        }
        for name, taken in times.items()
    ]


def _against_score_matching(name: Any, times: dict[Any, Times]) -> str:
    reference = None if isinstance(name, str) else times.get((name[0], "score-matching"))
    return "" if reference is None else f"{median_ratio(times[name].clock, reference.clock):.3g}"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", default="cpu", choices=list(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/models"))
    return parser.parse_args()


def run(args: argparse.Namespace, console: Console) -> None:
    """Time, show and write, case by case."""
    folder = claim(local_path(args.output, "--output"), "a benchmark of models")
    table = Rows(folder / "models.csv", console)
    for case in CASES[args.scale]:
        table.add(case.name, time_case(case, args.rounds, console))
    console.print(f"\nTable: {folder / 'models.csv'}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    sys.exit(run_program(parse_arguments, run))
