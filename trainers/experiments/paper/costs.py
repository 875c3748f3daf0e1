"""What cells will take, roughly, and how long the rest of a run."""

import math
from collections.abc import Iterable, Sequence

from delvm_tf.catalog import Specification
from trainers.experiments.paper.cells import Cell
from trainers.experiments.paper.tables import Probe

_ROWS = {"fashion_mnist": (60_000, 10_000), "cifar10": (50_000, 10_000)}
_ANOMALY_ROWS = {"cifar10": (15_540, 6_660), "ecg5000": (3_998, 1_000)}
_NORMAL_SHARE = {"cifar10": 0.27, "ecg5000": 0.41}
_SHAPES = {"fashion_mnist": (28, 28, 1), "cifar10": (32, 32, 3), "ecg5000": (1, 1, 140)}
_RATE = 2e10  # multiply-adds of convolutions and matrix products per second of one core
_START = 1.0  # seconds to trace and compile a model
_PASSES = {"score-matching": 8.0, "reconstruction": 6.0, "cd": 12.0, "": 0.0}


def estimated_seconds(cell: Cell) -> float:
    """Seconds on one core, right to a factor of two or so."""
    train, test = _rows(cell)
    shape = _SHAPES[cell.protocol.dataset]
    if cell.specification is None:
        if cell.probe is None:
            return 0.5 + (train + test) * math.prod(shape) / 3e7
        return _probe_seconds(cell.probe, math.prod(shape), train, test)
    sizes, work = _layers(cell.specification, shape)
    trained = train * _NORMAL_SHARE.get(cell.protocol.dataset, 1.0) if cell.probe is None else train
    seconds = _START * len(work)
    if cell.trained:
        seconds += _training_seconds(cell.specification, work, trained)
    for depth in cell.depths:
        seconds += 3 * sum(work[:depth]) * (train + test) / _RATE
        if cell.probe is not None:
            pooled = sum(size // cell.probe.pool**2 for size in sizes[:depth])
            seconds += _probe_seconds(cell.probe, pooled, train, test)
    return seconds


def _rows(cell: Cell) -> tuple[int, int]:
    table = _ANOMALY_ROWS if cell.protocol.is_anomaly else _ROWS
    train, test = table[cell.protocol.dataset]
    return cell.protocol.train_size or train, cell.protocol.test_size or test


def _layers(
    specification: Specification, shape: tuple[int, int, int]
) -> tuple[list[int], list[float]]:
    """Values and multiply-adds of each layer for one example."""
    settings = specification.model_settings
    height, width, channels = shape
    filters = settings.get("filters", ())
    kernels = _each(settings.get("kernel_size", 1), len(filters))
    strides = _each(settings.get("strides", 1), len(filters))
    sizes: list[int] = []
    work: list[float] = []
    for n, kernel, stride in zip(filters, kernels, strides, strict=True):
        height, width = math.ceil(height / stride), math.ceil(width / stride)
        work.append(height * width * kernel**2 * channels * n)
        channels = n
        sizes.append(height * width * n)
    inputs = height * width * channels
    for n in settings.get("units", ()):
        work.append(inputs * n)
        sizes.append(n)
        inputs = n
    return sizes, work


def _each(value: int | Sequence[int], layers: int) -> list[int]:
    return [value] * layers if isinstance(value, int) else list(value)


def _training_seconds(specification: Specification, work: list[float], rows: float) -> float:
    name = specification.objective_name
    passes = _PASSES.get(name) or 3.0 * (2 + specification.objective_settings.get("k", 60))
    stages = range(1, len(work) + 1) if specification.layerwise else [len(work)]
    deep = 2.0 if len(work) > 1 and name == "score-matching" else 1.0
    steps = specification.epochs * rows / specification.batch_size
    each = sum(sum(work[:stage]) for stage in stages) * specification.batch_size
    return steps * (deep * passes * each / _RATE + 0.004 * len(stages))


def _probe_seconds(probe: Probe, features: int, train: int, test: int) -> float:
    steps = max(probe.epochs * train / 256, probe.minimum_steps)
    fits = 2 if len(probe.l2) > 1 else 1  # each reads and standardises the table once an epoch
    classes = 10 * (len(probe.l2) + fits - 1)
    products = steps * features * classes * (512 / _RATE + 6e-9)
    return 1.0 + products + fits * steps * 256 * features * 8e-9 + test * features / 1e8


class Remaining:
    """Seconds left: the estimates of what is missing, times how far estimates were off so far.

    Args:
        missing: cells yet to be computed.
    """

    def __init__(self, missing: Iterable[Cell]):
        self._missing = {cell.key: estimated_seconds(cell) for cell in missing}
        self._estimated = 0.0
        self._measured = 0.0

    def done(self, cell: Cell, seconds: float) -> None:
        """Take in a cell's time, whether it was computed now or before."""
        self._estimated += estimated_seconds(cell)
        self._measured += seconds
        self._missing.pop(cell.key, None)

    @property
    def factor(self) -> float:
        """Measured over estimated seconds; 1 before anything was measured."""
        return self._measured / self._estimated if self._estimated else 1.0

    @property
    def seconds(self) -> float:
        """Seconds left."""
        return self.factor * sum(self._missing.values())


def clock(seconds: float) -> str:
    """Seconds as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
