"""Search for the settings of a model with KerasTuner.

With no arguments: dense models of the bundled heartbeats, 12 random trials, by AUROC of beats that
are held out of the training part. Writes a table and a picture of all trials, retrains the best on
the whole training part, and saves and exports it. An interrupted search goes on with the same
command.
"""

from trainers.program import run_program

import argparse
import dataclasses
import os
import shlex
import sys
from datetime import date
from pathlib import Path
from typing import Any

import keras
import pandas as pd
from rich.console import Console

import delvm_tf as dv
from delvm_tf.datasets import Dataset
from delvm_tf.plots.figure import save_figure
from delvm_tf.storage.ownership import claim, make_folder, read_json, write_json, write_text
from delvm_tf.storage.paths import check_checkpoint_path, local_path
from trainers.evaluation.tables import columns_that_fit, csv_table, markdown_table, print_table
from trainers.experiments.anomaly import calibrate
from trainers.experiments.subsets import subset
from tuning import MEASURES, SPACES, TUNERS, Space, make_tuner
from tuning.service import PARENT, role, search_with_workers
from tuning.trials import (
    Trial,
    best_first,
    failures,
    plot_search,
    reason_in,
    rows_of,
    short,
    table_of,
    trials_of,
    varying,
)
from tuning.tuner import fit_specification

SHOWN = 20  # trials in the table on the screen


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--space", default="ecg5000", choices=list(SPACES))
    parser.add_argument("--tuner", default="random", choices=TUNERS)
    parser.add_argument(
        "--objective",
        choices=list(MEASURES),
        help="what is looked for; the space's own if not given",
    )
    parser.add_argument(
        "--trials", type=int, default=12, help="at most; Hyperband decides by itself"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--train-size", type=int, default=0, help="training rows of each trial; 0 for all"
    )
    parser.add_argument("--list", action="store_true", help="show the space, and stop")
    parser.add_argument("--output", type=Path, help="folder; runs/search/<space>")
    parser.add_argument("--saved-models", type=Path, default=Path("saved_models"))
    several = parser.add_argument_group("several processes")
    several.add_argument(
        "--workers", type=int, metavar="N", help="start N workers on this machine, and their chief"
    )
    several.add_argument(
        "--bind", default="127.0.0.1",
        help="where the chief listens; it asks for no password, so keep it on a trusted network",
    )  # fmt: skip
    args = parser.parse_args(arguments)
    if args.trials < 1:
        parser.error(f"--trials must be 1 or more, got {args.trials}")
    if args.train_size < 0:
        parser.error(f"--train-size must not be negative, got {args.train_size}")
    args.objective = args.objective or SPACES[args.space].measure
    args.output = args.output or Path("runs/search") / args.space
    return args


def configuration(args: argparse.Namespace) -> dict[str, Any]:
    """What a search must have in common with one that it goes on with."""
    names = ("space", "tuner", "objective", "seed", "train_size")
    return {name: getattr(args, name) for name in names}


def check_folder(args: argparse.Namespace) -> None:
    """Make the folder, or refuse the search of another configuration.

    Raises:
        ValueError: if another search is there.
        FileExistsError: if something else is there.
    """
    claim(args.output, "a search")
    written, wanted = args.output / "search.json", configuration(args)
    if written.exists() and read_json(written) != wanted:
        raise ValueError(
            f"{args.output} holds another search, {read_json(written)}; choose another --output or "
            f"remove it"
        )
    write_json(written, wanted)


def load_data(args: argparse.Namespace, space: Space) -> tuple[Dataset, Dataset]:
    """The data, and a split of their training part for the trials."""
    data = dv.datasets.load(space.dataset, protocol=space.protocol, seed=args.seed)
    trial_data = data.validation_split(seed=args.seed)
    if args.train_size:
        trial_data = subset(trial_data, args.train_size, 0, args.seed)
    return data, trial_data


def retrain(
    args: argparse.Namespace, space: Space, best: Trial, data: Dataset, console: Console
) -> None:
    """Train the best on the whole training part, save and export it, and say how to serve it."""
    console.print(f"\nTraining trial {best.number} on the whole training part ...")
    model = fit_specification(best.specification, data, args.seed)
    test = MEASURES[args.objective].function(model, data)
    folder = args.output / "best"
    make_folder(folder)
    model.save(folder / "model.keras")
    write_json(
        folder / "specification.json",
        dataclasses.asdict(best.specification)
        | {"validation": {args.objective: best.figure}, "test": {args.objective: test}},
    )
    served: Any = model
    if data.is_anomaly:
        score = "energy" if hasattr(model, "energy") else "reconstruction_error"
        served = calibrate(dv.AnomalyDetector(model, "mean_std", score, holdout=0), data)
    name = f"search-{args.space}"
    about = {"data": space.dataset, "protocol": space.protocol, "seed": args.seed}
    about["test"] = {args.objective: test}
    version = dv.export_saved_model(served, args.saved_models / name, about=about)
    console.print(
        f"{args.objective}: {best.figure:.4f} on held-out training rows (chosen by), {test:.4f} on "
        f"the test set (looked at once)\n\nModel: {folder / 'model.keras'}\nSavedModel: {version}"
        f"\n\nNext:\n"
        f"  tensorflow_model_server --rest_api_port=8501 --model_name={name} \\\n"
        f"    --model_base_path={version.parent.resolve()}\n"
        f"  tensorboard --logdir {args.output / 'tensorboard'}\n"
        f"  the same command with more --trials goes on with the search",
        soft_wrap=True, highlight=False,
    )  # fmt: skip


def report(args: argparse.Namespace, trials: list[Trial], console: Console) -> list[Trial]:
    """Write and show all trials; gives those that did not fail, the best first."""
    ranking = best_first(trials, args.objective)
    failed = [trial for trial in trials if trial.figure is None]
    listed = [*ranking, *failed]
    command = shlex.join(["python", *sys.argv])
    write_text(args.output / "trials.csv", csv_table(rows_of(listed, args.objective)))
    write_text(
        args.output / "trials.md",
        f"{MEASURES[args.objective].words}, {len(trials)} trials, seed {args.seed}, "
        f"{date.today()}.\n\n    {command}\n\n{markdown_table(table_of(listed, args.objective))}",
    )
    if ranking:
        save_figure(plot_search(trials, args.objective), args.output / "trials.png")
        show(args, ranking, console)
    for line in failures(failed):
        console.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"All trials, with all settings{' and why they failed' if failed else ''}: "
        f"{args.output / 'trials.md'}",
        soft_wrap=True, highlight=False,
    )  # fmt: skip
    return ranking


def show(args: argparse.Namespace, ranking: list[Trial], console: Console) -> None:
    """The best trials, each on one line: the settings that vary, as far as there is room."""
    frame = varying(ranking[:SHOWN], args.objective)
    headed = frame.rename(columns={name: name.replace("_", "\n") for name in frame})
    fitting = columns_that_fit(headed, console.width)
    number = f"{SHOWN} best of {len(ranking)}" if len(ranking) > SHOWN else len(ranking)
    title = f"{args.space}: {MEASURES[args.objective].words}, {number} trials"
    print_table(console, title, headed[fitting])
    if left_out := list(frame.columns[len(fitting) :]):
        console.print(f"No room here for: {', '.join(left_out)}.", highlight=False)


def show_space(space: Space, console: Console) -> None:
    """The settings and their values."""
    frame = pd.DataFrame([setting.words() for setting in space.settings])
    print_table(console, space.description, frame, left=["values", "when"])


def run(args: argparse.Namespace, console: Console) -> None:
    """Search alone, or as one of several processes."""
    space, process = SPACES[args.space], role()
    if args.list:
        show_space(space, console)
        return
    args.output = local_path(args.output, "--output")
    args.saved_models = local_path(args.saved_models, "--saved-models")
    if process is None:
        check_checkpoint_path(args.saved_models)
        check_folder(args)
        make_folder(args.saved_models)
    data, trial_data = load_data(args, space)
    if process is None and args.workers is not None:
        command = [sys.executable, "-u", __file__, *sys.argv[1:]]
        failed = search_with_workers(
            command, args.workers, lambda line: console.print(line, markup=False, highlight=False),
            args.bind,
        )  # fmt: skip
        for worker in failed:
            console.print(f"{worker}; the others went on", style="yellow", markup=False)
    tuner = make_tuner(
        space, trial_data, args.tuner, args.objective, args.trials, args.seed, args.output
    )
    if process is not None or args.workers is None:
        if process != "chief":
            console.print(f"{args.tuner} search, {MEASURES[args.objective].words}")
        watch(tuner, console)
        tuner.search()
    if process == "worker":
        return
    trials = trials_of(tuner, space, args.objective)
    if process == "chief" and os.environ.get(PARENT):
        return
    if not trials:
        raise ValueError("no trial was finished")
    ranking = report(args, trials, console)
    if not ranking:
        raise ValueError(
            f"all {len(trials)} trials failed; the first because of: {trials[0].reason}"
        )
    retrain(args, space, ranking[0], data, console)


def watch(tuner: Any, console: Console) -> None:
    """Say what each trial gave."""
    end = tuner.on_trial_end

    def said(trial: Any) -> None:
        end(trial)
        keras.utils.clear_session()
        done = tuner.oracle.get_trial(trial.trial_id)
        if trial.status == "COMPLETED":
            what = f"{done.score:.4f}" if done.score is not None else "done"
        else:
            what = f"failed: {short(reason_in(trial.message))}"
        console.print(f"  trial {trial.trial_id}: {what}", highlight=False, markup=False)

    tuner.on_trial_end = said


if __name__ == "__main__":
    sys.exit(run_program(parse_arguments, run, "trial"))
