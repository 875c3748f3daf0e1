"""Train a model on one device, on several, or on several machines, and save it.

With no arguments: SM-DELVM on the normal heartbeats of the bundled ECG5000. Writes the model, its
history and a TensorBoard log. An interrupted run, also one that lost a worker, goes on after its
last finished epoch when the same command is given again.
"""

from trainers.program import run_program

import argparse
import dataclasses
import os
import sys
from pathlib import Path

import keras
from rich.console import Console

import delvm_tf as dv
from delvm.progress import TrainingProgress
from delvm_tf.distribution.workers import run_workers
from delvm_tf.storage.ownership import claim, write_json
from delvm_tf.storage.paths import local_path
from delvm_tf.training.backups import Backup
from trainers.arguments import (
    add_dataset_arguments,
    add_recipe_arguments,
    chosen_recipe,
    new_parser,
)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = new_parser(__doc__)
    data = parser.add_argument_group("data")
    add_dataset_arguments(data, "ecg5000")
    data.add_argument("--protocol", help="split of the data; the data set's default if not given")
    data.add_argument("--seed", type=int, default=0)
    add_recipe_arguments(parser, "the data set's first, or the library's default")
    devices = parser.add_argument_group("devices")
    devices.add_argument("--strategy", default="auto", choices=dv.distribution.NAMES)
    devices.add_argument(
        "--workers", type=int, metavar="N",
        help="start N processes on this machine that train together; on several machines set "
        "TF_CONFIG on each, and start the program there without this",
    )  # fmt: skip
    devices.add_argument(
        "--slurm", action="store_true", help="take the workers from the job step of Slurm"
    )
    output = parser.add_argument_group("output")
    output.add_argument("--output", type=Path, help="folder; runs/train/<dataset>-<model>")
    args = parser.parse_args(arguments)
    args.protocol = args.protocol or dv.datasets.protocols(args.dataset)[0]
    args.recipe = chosen_recipe(args, f"{args.dataset}-{args.protocol}", args.dataset)
    args.output = args.output or Path("runs/train") / f"{args.dataset}-{args.recipe.model}"
    return args


def start_workers(number: int, console: Console) -> None:
    """Run this program, with its arguments but `--workers`, as several processes."""
    arguments, given = [], iter(sys.argv[1:])
    for argument in given:
        if argument == "--workers":
            next(given)
        elif not argument.startswith("--workers="):
            arguments.append(argument)
    command = [sys.executable, "-u", __file__, *arguments, "--strategy", "multi_worker"]
    run_workers(command, number, lambda line: console.print(line, markup=False, highlight=False))


def train(args: argparse.Namespace, console: Console) -> None:
    """Train, as one of several workers or alone; what is written the chief writes."""
    args.output = local_path(args.output, "--output")
    chief = dv.distribution.is_chief()
    if chief:
        claim(args.output, "a training run")
    strategy = dv.distribution.strategy(args.strategy)
    spec = args.recipe
    data = dv.datasets.load(args.dataset, protocol=args.protocol, seed=args.seed)
    with strategy.scope():
        model = spec.adapted(data.x_train, args.seed)
    if chief:
        replicas = strategy.num_replicas_in_sync
        where = "one device" if replicas == 1 else f"{replicas} replicas, {type(strategy).__name__}"
        console.print(f"{spec.title} on {len(data.x_train)} examples of {args.dataset}, {where}")
    callbacks = [
        Backup(args.output / "backup"),
        keras.callbacks.TensorBoard(args.output / "tensorboard", write_graph=False),
        keras.callbacks.CSVLogger(args.output / "history.csv"),
    ]
    with TrainingProgress(console if chief else Console(quiet=True)) as progress:
        spec.fit(model, data.x_train, callbacks=[*callbacks, progress.callback("training")])
    model.save(args.output / "model.keras")
    if chief:
        write_json(args.output / "specification.json", dataclasses.asdict(spec))
        console.print(f"\nModel, history and TensorBoard log: {args.output}")


def run(args: argparse.Namespace, console: Console) -> None:
    """Start workers, or be one."""
    if args.workers is not None:
        start_workers(args.workers, console)
        return
    if args.slurm:
        os.environ["TF_CONFIG"] = dv.distribution.slurm_cluster().tf_config()
    train(args, console)


if __name__ == "__main__":
    sys.exit(run_program(parse_arguments, run, piece="epoch"))
