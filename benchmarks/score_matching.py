"""Time a score matching step against an autoencoder's and the nested tape's, in one run.

Absolute times depend on the machine, so what counts are the ratios. The methods take turns, round
by round, and the median of the rounds' ratios is reported: a slow moment hits all of them alike.
"""

import argparse
import csv
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

import delvm_tf as dv

EXACT_TOLERANCE = 1e-3  # relative, in float32


def tied_autoencoder_step(network: keras.Sequential) -> Callable[[tf.Tensor], tf.Tensor]:
    """A training step of the autoencoder whose decoder is the transposed encoder, in float32."""
    layer = network.layers[0]
    optimizer = keras.optimizers.Adam(1e-5)
    optimizer.build(network.trainable_variables)

    def step(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            kernel = tf.convert_to_tensor(layer.kernel)
            hidden = network(x)
            rebuilt = tf.nn.conv2d_transpose(hidden, kernel, tf.shape(x), 1, "SAME")
            loss = tf.reduce_mean(tf.reduce_sum(tf.square(x - rebuilt), axis=(1, 2, 3)))
        variables = network.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    return tf.function(step)


def score_matching_step(network: keras.Sequential, trace: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """A training step of `model.fit`, without the reading of the data."""
    model = dv.DELVM(network, objective=dv.ScoreMatching(trace, seed=0), normalization="none")
    model.build((None, *network.input_shape[1:]))
    model.compile(keras.optimizers.Adam(1e-5))
    model.optimizer.build(model.trainable_variables)
    return tf.function(lambda x: model.train_step(x)["loss"])


def loss_before_training(network: keras.Sequential, trace: str, x: tf.Tensor) -> float:
    """The objective's value at the initial weights, to show that the methods agree."""
    model = dv.DELVM(network, objective=dv.ScoreMatching(trace, seed=0), normalization="none")
    model.build((None, *network.input_shape[1:]))
    compute = tf.function(lambda t: tf.reduce_mean(model.objective.compute(model, t, True).loss))
    return float(compute(x))


def seconds_per_image(step: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor, calls: int) -> float:
    """Mean time of a call, divided by the batch."""
    started = time.perf_counter()
    for _ in range(calls):
        value = step(x)
    value.numpy()
    return (time.perf_counter() - started) / calls / len(x)


def main() -> None:
    """Measure and print; write CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--filters", type=int, default=70)
    parser.add_argument("--kernel-size", type=int, default=5)
    parser.add_argument("--image", type=int, default=28, help="side of the square images")
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--nested-tape-batch", type=int, default=2, help="0 leaves it out")
    parser.add_argument("--output", type=Path, default=Path("runs/benchmarks/score_matching.csv"))
    args = parser.parse_args()

    console = Console()
    shape = (args.image, args.image, 1)
    x = tf.constant(np.random.default_rng(0).normal(size=(args.batch_size, *shape)), tf.float32)

    def network() -> keras.Sequential:
        return dv.networks.cnn((args.filters,), args.kernel_size, seed=0, input_shape=shape)

    steps = {
        "autoencoder, tied weights": (tied_autoencoder_step(network()), x, 3),
        "SM, closed form": (score_matching_step(network(), "closed_form"), x, 3),
        "SM, one Hutchinson probe": (score_matching_step(network(), "hutchinson"), x, 1),
    }
    if args.nested_tape_batch:
        few = x[: args.nested_tape_batch]
        losses = {
            trace: loss_before_training(network(), trace, few)
            for trace in ("closed_form", "nested_tape")
        }
        difference = abs(losses["closed_form"] / losses["nested_tape"] - 1)
        if difference > EXACT_TOLERANCE:
            raise SystemExit(f"the exact methods disagree: {losses}")
        steps["SM, nested tape"] = (score_matching_step(network(), "nested_tape"), few, 1)

    for name, (step, batch, _) in steps.items():
        console.print(f"compiling {name}")
        step(batch)
        step(batch)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for index in range(args.rounds):
        for name, (step, batch, calls) in steps.items():
            if name == "SM, nested tape" and index >= 3:
                continue  # seconds a call, and its ratio is far from any limit
            times[name].append(seconds_per_image(step, batch, calls))

    reference = times["autoencoder, tied weights"]
    rows = []
    for name, values in times.items():
        ratios = [v / r for v, r in zip(values, reference, strict=False)]
        rows.append(
            {
                "method": name,
                "ms per image": f"{1e3 * statistics.median(values):.4g}",
                "times the autoencoder": f"{statistics.median(ratios):.3g}",
                "lowest": f"{min(ratios):.3g}",
                "highest": f"{max(ratios):.3g}",
            }
        )
    table = Table(
        title=f"one training step, {args.image}×{args.image}×1, {args.filters} ReLU filters of "
        f"{args.kernel_size}×{args.kernel_size}, batch {args.batch_size}, float32, "
        f"{tf.config.threading.get_intra_op_parallelism_threads() or 'all'} threads"
    )
    for column in rows[0]:
        table.add_column(column, justify="left" if column == "method" else "right")
    for row in rows:
        table.add_row(*row.values())
    console.print(table)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with args.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    console.print(f"written to {args.output}")


if __name__ == "__main__":
    main()
