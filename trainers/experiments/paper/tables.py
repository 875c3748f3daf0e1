"""What the figures are made of, read from the tables of `recipes/paper`."""

import dataclasses
from typing import Any

from delvm_tf.catalog.tables import from_table, read_toml
from trainers.recipes import FOLDER

RAW_PIXELS = "raw pixels"
COMPONENTS = 256
PCA_FEATURES = f"PCA ({COMPONENTS})"
ALL_ABNORMAL = "all abnormal"
TODAY = "what wins today (codes of patches)"  # 400 filters of DSM-DELVM
FEATURE_BASELINES = (RAW_PIXELS, PCA_FEATURES, TODAY)
ANOMALY_BASELINES = (
    ALL_ABNORMAL, "distance to mean", "PCA residual (4)", "PCA residual (16)", "isolation forest",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Which rows, and how results are measured on them.

    Attributes:
        dataset: name of the data set.
        name: name of its protocol.
        train_size: (labelled) training rows, drawn by the seed; 0 for all.
        test_size: test rows, likewise.
        threshold: of anomaly scores; empty for the accuracy of a classifier.
    """

    dataset: str
    name: str
    train_size: int = 0
    test_size: int = 0
    threshold: str = ""

    @property
    def is_anomaly(self) -> bool:
        """Whether anomalies are told, and not classes."""
        return bool(self.threshold)


@dataclasses.dataclass(frozen=True)
class Probe:
    """Settings of the classifier of features, and of the pooling before it."""

    l2: tuple[float, ...] = (1e-3, 1e-2, 0.1, 1.0)
    epochs: int = 10
    minimum_steps: int = 500
    pool: int = 2


@dataclasses.dataclass(frozen=True)
class Method:
    """A model with its objective, as the figures call it.

    Attributes:
        title: in tables and legends.
        model: name in the catalog.
        inputs: which of `Paper.inputs`.
        color: of its lines, in `delvm_tf.plots.palette`; a family of methods shares one.
        objective: name in the catalog; None if it is not trained.
        objective_settings: of the objective.
        schedule: which number of epochs; empty if it is not trained.
        twin: the untrained method with the same inputs.
        published_as: the method whose numbers in the paper are also this one's.
    """

    title: str
    model: str
    inputs: str
    color: str
    objective: str | None = None
    objective_settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    schedule: str = ""
    twin: str = ""
    published_as: str = ""


@dataclasses.dataclass(frozen=True)
class DeepNetwork:
    """The CEBM's network of images by layer, and its training."""

    filters: tuple[int, ...]
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    units: tuple[int, ...]
    activation: str
    learning_rate: float
    clipnorm: float


@dataclasses.dataclass(frozen=True)
class Scale:
    """Sizes of a run.

    Attributes:
        name: what it is called on the command line.
        filters: of the grid of one-layer networks.
        sizes: sides of their filters.
        table_filters: the same for table 1; empty for the paper's best sizes alone.
        units: of the one-layer networks of fig. 7.
        depths: numbers of layers.
        image_epochs: by kind of training.
        beat_epochs: the same for heartbeats.
        chain_steps: Langevin steps of a CEBM's chains.
        image_seeds: seeds on images unless given.
        beat_seeds: seeds on heartbeats unless given.
        probe: the classifier of features.
        train_size: (labelled) training rows by data; all where it says nothing.
        test_size: test rows by data, likewise.
        depth_filters: bound on the filters of deep networks; None for none.
        depth_units: the same for dense layers.
    """

    name: str
    filters: tuple[int, ...]
    sizes: tuple[int, ...]
    table_filters: tuple[int, ...]
    units: tuple[int, ...]
    depths: tuple[int, ...]
    image_epochs: dict[str, int]
    beat_epochs: dict[str, int]
    chain_steps: int
    image_seeds: tuple[int, ...]
    beat_seeds: tuple[int, ...]
    probe: Probe = dataclasses.field(default_factory=Probe)
    train_size: dict[str, int] = dataclasses.field(default_factory=dict)
    test_size: dict[str, int] = dataclasses.field(default_factory=dict)
    depth_filters: int | None = None
    depth_units: int | None = None

    def epochs(self, data: str, schedule: str) -> int:
        """Epochs of a kind of training on some data."""
        return (self.beat_epochs if data == BEATS else self.image_epochs)[schedule]

    def seeds(self, data: str) -> tuple[int, ...]:
        """Seeds unless others are asked for."""
        return self.beat_seeds if data == BEATS else self.image_seeds


@dataclasses.dataclass(frozen=True)
class Published:
    """A number of the paper: a method, filters, units or layers, the filters' side, in percent."""

    method: str
    x: int
    values: dict[str, float]
    size: int | None = None


@dataclasses.dataclass(frozen=True)
class Figure:
    """What a figure of the paper compares; see `figures.toml`."""

    title: str
    claim: str
    data: str
    axis: str
    methods: tuple[str, ...]
    comparisons: tuple[tuple[str, str], ...]
    layers: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    best: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    published: tuple[Published, ...] = ()

    @property
    def measures(self) -> tuple[str, ...]:
        """What is tabulated, the one that is drawn first."""
        anomalies = PAPER.data[self.data].is_anomaly
        return ("f1", "auroc", "precision", "recall") if anomalies else ("accuracy",)

    @property
    def baselines(self) -> tuple[str, ...]:
        """Methods without a model to compare with."""
        anomalies = PAPER.data[self.data].is_anomaly
        return ANOMALY_BASELINES if anomalies else FEATURE_BASELINES


@dataclasses.dataclass(frozen=True)
class Paper:
    """All tables: rates of Adam and inputs by data, the CEBM, and the rest by name."""

    batch_size: int
    rates: dict[str, tuple[float, ...]]
    inputs: dict[str, dict[str, dict[str, Any]]]
    cebm: DeepNetwork
    methods: dict[str, Method]
    data: dict[str, Protocol]
    figures: dict[str, Figure]
    scales: dict[str, Scale]


def read_paper() -> Paper:
    """The tables of the three files.

    Raises:
        ValueError: for a key that is unknown or missing, or a value of the wrong type.
    """
    table: dict[str, Any] = {}
    for name in ("methods", "figures", "scales"):
        table |= read_toml(FOLDER / "paper" / f"{name}.toml")
    full = table["scales"]["full"]
    table["scales"] = {k: {"name": k, **full, **v} for k, v in table["scales"].items()}
    return from_table(Paper, table, "recipes/paper: ")


BEATS = "beats"
PAPER = read_paper()
METHODS, FIGURES, SCALES = PAPER.methods, PAPER.figures, PAPER.scales


def title(method: str) -> str:
    """What a method or baseline is called."""
    return METHODS[method].title if method in METHODS else method


def published_as(method: str) -> str:
    """The method under the name that the paper's numbers have."""
    return METHODS[method].published_as or method
