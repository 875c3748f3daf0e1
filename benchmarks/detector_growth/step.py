"""A training step of the detector's network against its arithmetic."""

import math
import statistics
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from steps import matrix_product, training_step
from tensorflow.compat.v1 import profiler
from timing import Times, median_ratio, rounds_of_times

from delvm_tf.detection import LevelDetector
from delvm_tf.detection.levels.network import BATCH
from detector_growth.data import mixed_rows

PRODUCT = "product"  # whose rate is the machine's
PRODUCT_SIZE = (2048, 4096)


class StepClock(keras.callbacks.Callback):
    """Keeps the model that is trained, and when how many steps were done."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[tuple[int, float, float]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Note the time; Keras may call this after several steps."""
        self.times.append((batch, time.perf_counter(), time.process_time()))

    def seconds(self) -> tuple[float, float]:
        """Of a step, by the clock and of CPU time: medians, without the first, which is traced.

        NaN if there were too few steps to tell.
        """
        if len(self.times) < 2:
            return math.nan, math.nan
        steps, clock, cpu = np.diff(np.array(self.times), axis=0).T
        return float(np.median(clock / steps)), float(np.median(cpu / steps))


def operations_of_products(model: Any) -> int:
    """Floating-point operations of the matrix products of a step, by the sizes of the layers.

    With kernels W₁ … Wₙ, and M that turns the noise level into scales and shifts, a step takes the
    value (W and M), its gradient in the data (W), and of both the gradients in the weights and in
    what the layers have been given: W twice for the gradient, and for the value W twice but W₁ and
    M once, for nothing needs what is left of these.
    """
    first, *others = [
        math.prod(layer.kernel.shape) for layer in model.network.chain if hasattr(layer, "kernel")
    ]
    modulation = math.prod(model.network.modulation.shape)
    return 2 * BATCH * (5 * first + 6 * sum(others) + 2 * modulation)


def operations_of_graph(step: Any, x: tf.Tensor) -> tuple[int, int]:
    """What TensorFlow's profiler counts in a step: of matrix products, and of all it knows.

    Args:
        step: a `tf.function` of x.
        x: a batch.
    """
    graph = step.get_concrete_function(x).graph
    builder = profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    products = builder(options).with_accounted_types(["MatMul"]).build()

    def counted(of: Any) -> int:
        return int(profiler.profile(graph, cmd="op", options=of).total_float_ops)

    return counted(products), counted(options)


def step_rows(
    columns: tuple[int, ...], rows: int, steps: int, rounds: int, console: Console
) -> list[dict[str, Any]]:
    """A row for each number of columns.

    Args:
        columns: numbers of columns.
        rows: of the training.
        steps: of the training in which steps are timed.
        rounds: in which a step alone and a large product take turns.
        console: where it is said what is done.
    """
    product, factor, product_operations = matrix_product(*PRODUCT_SIZE)
    timed: dict[Any, Any] = {PRODUCT: (product, factor)}
    clocks = {}
    for d in columns:
        console.print(f"training step of {d} columns")
        clocks[d] = StepClock()
        x = mixed_rows(rows, d)
        LevelDetector(trusted=True, steps=steps).fit(x, callbacks=[clocks[d]])
        batch = tf.random.stateless_normal((BATCH, d), (0, 0))
        timed[d] = training_step(clocks[d].model), batch
    times = rounds_of_times(timed, rounds)
    found = []
    for d in columns:
        operations = operations_of_products(clocks[d].model)
        counted, known = operations_of_graph(*timed[d])
        # Seconds that the products of an example take at the rate of the large one.
        share = operations / BATCH * len(factor) / product_operations
        least = Times(*([share * t for t in seconds] for seconds in times[PRODUCT]))
        clock, cpu = clocks[d].seconds()
        rate = product_operations / len(factor) / statistics.median(times[PRODUCT].clock)
        found.append({
            "columns": d,
            "Mflop of products": f"{operations / 1e6:.4g}",
            "in the graph": f"{counted / 1e6:.4g}",
            "with other operations": f"{known / 1e6:.4g}",
            "Gflop/s of a large product": f"{rate / 1e9:.3g}",
            "ms a step": f"{1e3 * BATCH * statistics.median(times[d].clock):.3g}",
            "ms of CPU": f"{1e3 * BATCH * statistics.median(times[d].cpu):.3g}",
            "share of the rate": _percent(median_ratio(least.clock, times[d].clock)),
            "share by CPU time": _percent(median_ratio(least.cpu, times[d].cpu)),
            "ms a step of fit": f"{1e3 * clock:.3g}",
            "ms of CPU of fit": f"{1e3 * cpu:.3g}",
            "share by CPU time of fit": _percent(
                BATCH * statistics.median(least.cpu) / cpu
            ),
        })  # fmt: skip
    return found


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.3g} %"
