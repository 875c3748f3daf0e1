"""Time a training step with XLA and in bfloat16 against neither, objective by objective.

The settings take turns, and the median of the rounds' ratios counts.
"""

from report import Content, run_report

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import keras
import pandas as pd
import tensorflow as tf
from rich.console import Console

import delvm_tf as dv
from delvm_tf.catalog import make_objective

NETWORKS = {
    "dense 140 → 512 → 256": ((140,), (512, 256), None),
    "2 × 16 filters of 5×5 on 28×28×1": ((28, 28, 1), (16, 16), 5),
}
OBJECTIVES: dict[str, tuple[str, dict[str, Any]]] = {
    "score matching, one probe": ("score-matching", {"trace": "hutchinson"}),
    "sliced": ("sliced", {}),
    "denoising": ("denoising", {}),
    "CD, one step": ("cd", {"k": 1}),
}
SETTINGS = {"neither": ("float32", False), "XLA": ("float32", True),
            "mixed_bfloat16": ("mixed_bfloat16", False)}  # fmt: skip
BATCH = 100


def steps_of(network: str, objective: str, setting: str, steps: int) -> Callable[[], float]:
    """A function that trains for some steps and gives the seconds of one; traced already."""
    shape, layers, side = NETWORKS[network]
    policy, jit = SETTINGS[setting]
    keras.config.set_dtype_policy(policy)
    name, settings = OBJECTIVES[objective]
    x = tf.random.stateless_normal((BATCH, *shape), (0, 0))
    net = dv.networks.ffnn(layers) if side is None else dv.networks.cnn(layers, side)
    model = dv.DELVM(net, objective=make_objective(name, seed=0, **settings))
    model.adapt(x)
    model.compile("adam", jit_compile=jit)
    data = tf.data.Dataset.from_tensors(x).repeat(steps)

    def run() -> float:
        started = time.perf_counter()
        model.fit(data, epochs=1, verbose=0, shuffle=False)
        return (time.perf_counter() - started) / steps

    run()
    keras.config.set_dtype_policy("float32")
    return run


def measure(args: argparse.Namespace, console: Console) -> tuple[str, Content]:
    """A row for each network and objective."""
    rows = []
    for network in NETWORKS:
        for objective in OBJECTIVES:
            runs = {name: steps_of(network, objective, name, args.steps) for name in SETTINGS}
            times = [{name: run() for name, run in runs.items()} for _ in range(args.rounds)]
            alone = 1000 * statistics.median(t["neither"] for t in times)
            rows.append({
                "network": network, "objective": objective, "ms": f"{alone:.1f}",
                **{name: f"{statistics.median(t[name] / t['neither'] for t in times):.2f}"
                   for name in SETTINGS if name != "neither"},
            })  # fmt: skip
    return (
        f"A training step with XLA (`jit_compile=True`) and in `mixed_bfloat16` against neither "
        f"(ms), batches of {BATCH}, median of {args.rounds} rounds.",
        [pd.DataFrame(rows)],
    )


if __name__ == "__main__":
    sys.exit(run_report(__file__, __doc__, measure, rounds=5, steps=20))
