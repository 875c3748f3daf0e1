"""How large a run is, and in words what it leaves out."""

import dataclasses
from collections.abc import Container, Mapping

from trainers.experiments.paper.cells import Probe

FASHION, CIFAR, CIFAR_ANOMALIES, BEATS = "fashion", "cifar", "cifar-anomalies", "beats"


@dataclasses.dataclass(frozen=True)
class Scale:
    """Sizes of a run. The defaults are the paper's.

    Attributes:
        name: what it is called on the command line.
        train_size: (labelled) training rows by data; 0 for all.
        test_size: test rows by data; 0 for all.
        filters: of the grid of one-layer networks.
        sizes: sides of their filters.
        table_filters: the same for table 1; None for the paper's best sizes alone.
        units: of the one-layer networks of fig. 7.
        depth_filters: bound on the filters of deep networks; None for none.
        depth_units: the same for dense layers.
        depths: numbers of layers.
        image_epochs: by kind of training.
        beat_epochs: the same for heartbeats.
        chain_steps: Langevin steps of a CEBM's chains.
        probe: the classifier of features.
        image_seeds: seeds on images unless given.
        beat_seeds: seeds on heartbeats unless given.
    """

    name: str = "full"
    train_size: Mapping[str, int] = dataclasses.field(default_factory=dict)
    test_size: Mapping[str, int] = dataclasses.field(default_factory=dict)
    filters: tuple[int, ...] = (10, 20, 30, 40, 50, 60, 70, 80)
    sizes: tuple[int, ...] = (3, 5, 7, 9)
    table_filters: tuple[int, ...] | None = (10, 20, 30, 40, 50, 60, 70, 80)
    units: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)
    depth_filters: int | None = None
    depth_units: int | None = None
    depths: tuple[int, ...] = (1, 2, 3, 4)
    image_epochs: Mapping[str, int] = dataclasses.field(
        default_factory=lambda: {"sm": 10, "cd": 100, "ae": 100, "cebm": 50}
    )
    beat_epochs: Mapping[str, int] = dataclasses.field(
        default_factory=lambda: {"sm": 10, "cd": 100, "ae": 100, "cebm": 50}
    )
    chain_steps: int = 60
    probe: Probe = dataclasses.field(default_factory=Probe)
    image_seeds: tuple[int, ...] = (0, 1, 2)
    beat_seeds: tuple[int, ...] = (0, 1, 2)

    def epochs(self, data: str, schedule: str) -> int:
        """Epochs of a kind of training on some data."""
        return (self.beat_epochs if data == BEATS else self.image_epochs)[schedule]

    def seeds(self, data: str) -> tuple[int, ...]:
        """Seeds unless others are asked for."""
        return self.beat_seeds if data == BEATS else self.image_seeds


SCALES = {
    "full": Scale(),
    "cpu": Scale(
        "cpu",
        train_size={FASHION: 2000, CIFAR: 2000, CIFAR_ANOMALIES: 7360},
        test_size={FASHION: 3000, CIFAR: 3000},
        filters=(10, 20, 40),
        sizes=(3, 5, 9),
        table_filters=None,
        depth_filters=8,
        depth_units=512,
        image_epochs={"sm": 10, "cd": 15, "ae": 15, "cebm": 3},
        beat_epochs={"sm": 10, "cd": 100, "ae": 100, "cebm": 20},
        chain_steps=3,
        probe=Probe(l2=(1e-2, 0.1), minimum_steps=150),
        image_seeds=(0,),
    ),
    "smoke": Scale(
        "smoke",
        train_size={FASHION: 200, CIFAR: 200, CIFAR_ANOMALIES: 400, BEATS: 400},
        test_size={FASHION: 200, CIFAR: 200, CIFAR_ANOMALIES: 200, BEATS: 200},
        filters=(4,),
        sizes=(3,),
        table_filters=None,
        units=(16, 32),
        depth_filters=4,
        depth_units=16,
        depths=(1, 2),
        image_epochs={"sm": 1, "cd": 1, "ae": 1, "cebm": 1},
        beat_epochs={"sm": 1, "cd": 1, "ae": 1, "cebm": 1},
        chain_steps=1,
        probe=Probe(l2=(0.1,), epochs=1, minimum_steps=20),
        image_seeds=(0,),
        beat_seeds=(0,),
    ),
}


def reductions(scale: Scale, data: str, axis: str, schedules: Container[str]) -> list[str]:
    """In words, what a figure on some data has less of than the paper.

    Args:
        scale: of the run.
        data: the figure's data.
        axis: what the figure varies: filters, layers, units or table.
        schedules: kinds of training in the figure.
    """
    full, said = SCALES["full"], []

    def compare(what: str, mine: object, theirs: object) -> None:
        if mine != theirs:
            said.append(f"{what}: {_words(mine)} instead of {_words(theirs)}")

    labelled = "labelled training rows" if data in (CIFAR_ANOMALIES, BEATS) else "training rows"
    compare(labelled, scale.train_size.get(data, 0) or "all", "all")
    compare("test rows", scale.test_size.get(data, 0) or "all", "all")
    if axis == "filters":
        compare("numbers of filters", scale.filters, full.filters)
        compare("sizes of filters", scale.sizes, full.sizes)
    if axis == "table":
        grid = (full.table_filters, full.sizes)
        mine = (scale.table_filters, scale.sizes) if scale.table_filters else "the paper's best"
        compare("numbers and sizes of filters", mine, grid)
    if axis == "units":
        compare("units", scale.units, full.units)
    if axis == "layers":
        compare("layers", scale.depths, full.depths)
        bound = scale.depth_units if data == BEATS else scale.depth_filters
        compare("units or filters of each layer", f"at most {bound}" if bound else "", "")
    for schedule, name in (("sm", "SM"), ("cd", "CD"), ("ae", "autoencoders"), ("cebm", "CEBM")):
        if schedule in schedules:
            compare(f"epochs, {name}", scale.epochs(data, schedule), full.epochs(data, schedule))
    if "cebm" in schedules:
        compare("Langevin steps of the CEBM's chains", scale.chain_steps, full.chain_steps)
    if data in (FASHION, CIFAR):
        compare("penalties that the classifier chooses from", scale.probe.l2, full.probe.l2)
        compare(
            "least steps of the classifier", scale.probe.minimum_steps, full.probe.minimum_steps
        )
    return said


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return " by ".join(map(_words, value)) if isinstance(value[0], tuple) else (
            ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value)
        )  # fmt: skip
    return str(value) or "the paper's best"
