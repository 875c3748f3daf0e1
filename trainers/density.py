"""Learn a known density in the plane, and measure how far from it each model ends.

With no arguments: eleven models and objectives beside three simple fits, on a mixture of five
Gaussians, three seeds. Writes tables, a figure of all densities and one of Langevin chains.
Finished pieces of an interrupted run are kept, and the same command goes on from there.
"""

from trainers.program import run_program

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from rich.console import Console
from sklearn.mixture import GaussianMixture

import delvm_tf as dv
from delvm_tf.catalog import Recipe, Specification
from delvm_tf.plots.figure import save_figure
from delvm_tf.samplers.sampling import SamplingDiverged
from trainers.arguments import (
    add_recipe_argument,
    add_setting_arguments,
    changed_recipes,
    new_parser,
    parse_seeds,
)
from trainers.evaluation.densities import (
    GaussianMixtureDensity,
    five_gaussians,
    kernel_density,
    one_gaussian,
)
from trainers.evaluation.model_density import PANEL, ModelDensity, figures
from trainers.evaluation.tables import markdown_table, print_table, summarize
from trainers.plots.density import plot_densities, plot_trajectories
from trainers.recipes import recipes_in
from trainers.results import Results

TRAIN, VALIDATION, TEST, CHAINS = range(4)  # streams of random numbers under one seed
BANDWIDTHS = (0.1, 0.14, 0.2, 0.28)
CHAIN_STEP = 0.05  # of the Langevin chains of the figure, squared normalised units
FIGURES = {
    "fisher": "Fisher divergence", "log_likelihood": "log-likelihood",
    "modes_off": "mode weights off", "train_seconds": "train s",
}  # fmt: skip


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = new_parser(__doc__)
    add_recipe_argument(parser, "density")
    parser.add_argument(
        "--models", nargs="+", metavar="NAME", help="which of the recipes; all if not given"
    )
    parser.add_argument("--seeds", type=parse_seeds, default=[0, 1, 2], metavar="0-2")
    parser.add_argument("--points", type=int, default=10_000, help="to train on; as many to score")
    parser.add_argument(
        "--validation", action="store_true",
        help="score on points other than the test's, to choose settings by",
    )  # fmt: skip
    figure = parser.add_argument_group("figure of Langevin chains")
    figure.add_argument("--drawn-chains", type=int, default=1000)
    figure.add_argument("--drawn-steps", type=int, default=2000, help="of each chain")
    add_setting_arguments(parser)
    parser.add_argument("--output", type=Path, default=Path("runs/densities"), help="folder")
    args = parser.parse_args(arguments)
    for name in ("points", "drawn_chains", "drawn_steps"):
        value = getattr(args, name)
        if value < (100 if name == "points" else 1):
            parser.error(f"--{name.replace('_', '-')} is too small: {value}")
    recipes = recipes_in(args.recipe, Recipe)
    args.recipes = changed_recipes({n: recipes[n] for n in args.models or recipes}, args)
    return args


def cosine(rate: float, epochs: int) -> keras.callbacks.Callback:
    """A learning rate that falls from `rate` towards 0 over the epochs."""
    return keras.callbacks.LearningRateScheduler(
        lambda epoch, _: 0.5 * rate * (1 + math.cos(math.pi * epoch / epochs))
    )


def draw(args: argparse.Namespace, seed: int, stream: int) -> np.ndarray:
    """Points of the true density under a seed."""
    return five_gaussians().sample(args.points, [seed, stream])


def run_model(args: argparse.Namespace, name: str, seed: int, folder: Path) -> dict[str, Any]:
    """Train one model under one seed and measure it; the first also draws chains."""
    settings = args.recipes[name]
    assert isinstance(settings.learning_rate, float)  # of all layers together
    nothing: dict[str, Any] = {"panel": None, "chains": None}
    started = time.perf_counter()
    try:
        model = settings.train(
            draw(args, seed, TRAIN).astype(np.float32), seed,
            callbacks=[cosine(settings.learning_rate, settings.epochs)],
        )  # fmt: skip
    except dv.TrainingDiverged:
        row = dict.fromkeys(["fisher", "log_likelihood", "modes_off"], math.nan)
        row |= {f"mode_{k}": math.nan for k in range(1, len(five_gaussians().weights) + 1)}
        return nothing | {"row": {
            "method": settings.title, "seed": seed, **row, "problem": "training diverged",
            "train_seconds": time.perf_counter() - started,
        }}  # fmt: skip
    seconds = time.perf_counter() - started
    density = ModelDensity(model)
    points = draw(args, seed, VALIDATION if args.validation else TEST)
    done = nothing | figures(five_gaussians(), density, points, density.integral.problem)
    done["row"] = {
        "method": settings.title, "seed": seed, **done["row"], "train_seconds": seconds,
    }  # fmt: skip
    if name == next(iter(args.recipes)) and seed == args.seeds[0]:
        done["chains"] = draw_chains(args, model, done["panel"], settings.title, folder)
    return done


def draw_chains(
    args: argparse.Namespace, model: dv.EnergyModel, panel: Any, title: str, folder: Path
) -> dict[str, Any]:
    """Langevin chains from noise: their figure, and the shares of the modes they hold."""
    try:
        run = model.sample(
            args.drawn_chains, dv.samplers.Langevin(CHAIN_STEP), args.drawn_steps,
            seed=args.seeds[0], record_every=max(1, args.drawn_steps // 100), details=True,
        )  # fmt: skip
    except SamplingDiverged as error:
        return {"text": f"Langevin chains on {title}: {error}"}
    figure = plot_trajectories(
        run.trajectory, PANEL.square(panel), PANEL.half_width, shown=5,
        title=f"{title}: 5 chains, {args.drawn_steps:,} Langevin steps",
    )  # fmt: skip
    save_figure(figure, folder / "chains.png")
    early = len(run.steps) // 10
    return {
        "text": f"{args.drawn_chains:,} Langevin chains from normal noise on {title}",
        f"chains, step {run.steps[early]}": mode_shares(run.trajectory[early]),
        f"chains, step {run.steps[-1]}": mode_shares(run.trajectory[-1]),
    }


def mode_shares(points: Any) -> list[float]:
    """Mean responsibility of each Gaussian of the truth for points."""
    return five_gaussians().responsibilities(points).mean(axis=0).tolist()


def run_baselines(args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """The truth itself and three ways to fit a density without an energy."""
    truth = five_gaussians()
    train = draw(args, seed, TRAIN)
    points = draw(args, seed, VALIDATION if args.validation else TEST)

    def mixture() -> GaussianMixtureDensity:
        fitted = GaussianMixture(len(truth.weights), n_init=5, random_state=seed).fit(train)
        return GaussianMixtureDensity(fitted.weights_, fitted.means_, fitted.covariances_)

    def parzen() -> GaussianMixtureDensity:
        held_out = draw(args, seed, VALIDATION)[:1000]
        candidates = [kernel_density(train, bandwidth) for bandwidth in BANDWIDTHS]
        return max(candidates, key=lambda density: density.log_density(held_out).mean())

    done: dict[str, Any] = {"rows": [], "panels": {}}
    for title, fit in {
        "truth": lambda: truth, "one Gaussian": lambda: one_gaussian(train),
        "Gaussian mixture (5)": mixture, "kernel density": parzen,
    }.items():  # fmt: skip
        started = time.perf_counter()
        density = fit()
        seconds = time.perf_counter() - started
        measured = figures(truth, density, points)
        done["rows"].append(
            {"method": title, "seed": seed, **measured["row"], "train_seconds": seconds}
        )
        done["panels"][title] = measured["panel"]
    return done


def summary(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The cells of the table by method, the last column for what went wrong."""
    table = summarize(rows, ["fisher", "log_likelihood", "modes_off"], digits=3)
    table["train_seconds"] = summarize(rows, ["train_seconds"], digits=1)
    remarks: dict[str, list[str]] = {title: [] for title in table.index}
    for row in rows:
        if row["problem"]:
            remarks[row["method"]].append(f"seed {row['seed']}: {row['problem']}")
    table["remark"] = ["; ".join(each) for each in remarks.values()]
    return table.rename(columns=FIGURES)


def modes_table(rows: Sequence[dict[str, Any]], chains: dict[str, Any]) -> pd.DataFrame:
    """The mass of each of the true Gaussians under every method and of chains."""
    modes = range(1, len(five_gaussians().weights) + 1)
    table = summarize(rows, [f"mode_{k}" for k in modes], digits=3)
    for title, shares in chains.items():
        if title != "text":
            table.loc[title] = [f"{share:.3f}" for share in shares]
    return table.rename(columns={f"mode_{k}": f"mode {k}" for k in modes})


def run(args: argparse.Namespace, console: Console) -> None:
    """All pieces, from where an interrupted run of the same command stopped."""
    for recipe in args.recipes.values():
        recipe.make((2,), 0)  # refuses wrong settings before any work
    results = Results.of_run(args.output, args)
    work: dict[str, Callable[[], dict[str, Any]]] = {}
    for seed in args.seeds:
        for name in args.recipes:
            work[f"{name}, seed {seed}"] = partial(run_model, args, name, seed, results.folder)
        work[f"baselines, seed {seed}"] = partial(run_baselines, args, seed)
    pieces = results.compute(work, console)
    rows = [
        *(row for seed in args.seeds for row in pieces[f"baselines, seed {seed}"]["rows"]),
        *(pieces[f"{name}, seed {seed}"]["row"] for name in args.recipes for seed in args.seeds),
    ]
    chains = pieces[f"{next(iter(args.recipes))}, seed {args.seeds[0]}"]["chains"] or {
        "text": "no chains"
    }
    save_panels(args, pieces, results.folder)
    about = (
        f"{args.points:,} points to train on, as many {'validation' if args.validation else 'test'}"
        f" points, seeds {args.seeds}"
    )
    results.write_tables(rows, about, report(args, rows, chains))
    results.finish()
    show(console, args, rows, chains)


def save_panels(args: argparse.Namespace, pieces: dict[str, Any], folder: Path) -> None:
    """The figure of all densities under the first seed."""
    seed = args.seeds[0]
    panels = dict(pieces[f"baselines, seed {seed}"]["panels"])
    for name, recipe in args.recipes.items():
        piece = pieces[f"{name}, seed {seed}"]
        if piece["panel"] is not None:
            star = " *" if piece["row"]["problem"] else ""
            panels[recipe.title + star] = piece["panel"]
    figure = plot_densities(
        {title: PANEL.square(panel) for title, panel in panels.items()}, PANEL.half_width,
        draw(args, seed, TRAIN)[:3000],
    )  # fmt: skip
    save_figure(figure, folder / "densities.png")


def report(args: argparse.Namespace, rows: Sequence[dict[str, Any]], chains: dict[str, Any]) -> str:
    """The tables as markdown."""
    return (
        markdown_table(summary(rows))
        + f"\nMass of the true Gaussians; at the end {chains['text']}.\n\n"
        + markdown_table(modes_table(rows, chains))
        + "\nSettings (normalised units; the learning rate of Adam falls to 0 as a cosine):\n\n"
        + "".join(f"- {each.title}: {settings_text(each)}\n" for each in args.recipes.values())
    )


def settings_text(specification: Specification) -> str:
    """What decides the training, on one line."""
    named = {**specification.model_settings, **specification.objective_settings}
    return (
        f"{specification.objective_name}, {', '.join(f'{k} {v}' for k, v in named.items())}; "
        f"{specification.epochs} epochs, batches of {specification.batch_size}, "
        f"learning rate {specification.learning_rate:g}"
    )


def show(
    console: Console, args: argparse.Namespace, rows: Sequence[dict[str, Any]],
    chains: dict[str, Any],
) -> None:  # fmt: skip
    """The table, and where everything is."""
    heading = f"five Gaussians in the plane, {args.points:,} points"
    print_table(console, heading, summary(rows), left=["remark"])
    console.print(f"{chains['text']}\nResults and plots: {args.output}", soft_wrap=True)


def main() -> int:
    """The program; its exit status."""
    return run_program(parse_arguments, run)


if __name__ == "__main__":
    sys.exit(main())
