"""What is computed once and kept: one method under one protocol and seed."""

import dataclasses
import hashlib
import json
import re
from typing import Any

from delvm_tf.catalog import Specification


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
class Cell:
    """A method under a protocol and a seed.

    Attributes:
        protocol: the data, and what is measured.
        method: its short name.
        seed: of data, model and classifier.
        specification: model and training; None for methods without a model.
        trained: False for a model as it is initialised.
        depths: numbers of layers to measure at, of one network grown layer by layer.
        probe: of features; None for anomalies.
    """

    protocol: Protocol
    method: str
    seed: int
    specification: Specification | None = None
    trained: bool = True
    depths: tuple[int, ...] = (1,)
    probe: Probe | None = None

    @property
    def config(self) -> dict[str, Any]:
        """All that decides the numbers, as JSON."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @property
    def key(self) -> str:
        """A readable name that no other cell has."""
        text = json.dumps(self.config, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        parts = (self.protocol.dataset, self.protocol.name, self.method, *self.shape)
        name = re.sub("[^A-Za-z0-9_]+", "-", "-".join(parts)).strip("-")
        return f"{name}-seed{self.seed}-{digest}"

    @property
    def shape(self) -> tuple[str, ...]:
        """The layers in short, such as 70x5, or 20x3x4layers."""
        if self.specification is None:
            return ()
        settings = self.specification.model_settings
        layers = settings.get("filters") or settings["units"]
        size = settings.get("kernel_size")
        text = str(layers[0]) + (f"x{size}" if isinstance(size, int) else "")
        return (text if len(layers) == 1 else f"{text}x{len(layers)}layers",)

    @property
    def layers(self) -> str:
        """One layer of the network in words, or all where they differ; empty without a network."""
        if self.specification is None:
            return ""
        settings = self.specification.model_settings
        widths = settings.get("filters") or settings["units"]
        texts = dict.fromkeys(map(str, widths))
        if "filters" not in settings:
            return f"{', '.join(texts)} units"
        sizes = settings["kernel_size"]
        if isinstance(sizes, int):
            return f"{', '.join(texts)} filters of {sizes}×{sizes}"
        return f"{', '.join(map(str, widths))} filters of sides {', '.join(map(str, sizes))}"
