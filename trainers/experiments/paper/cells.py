"""What is computed once and kept: one method under one protocol and seed."""

import dataclasses
import hashlib
import json
import re
from typing import Any

from delvm_tf.catalog import Specification
from trainers.experiments.paper.tables import BEATS, METHODS, PAPER, Probe, Protocol, Scale


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


@dataclasses.dataclass(frozen=True)
class Maker:
    """Makes the cells on some data, at a scale, with a seed."""

    data: str
    scale: Scale
    seed: int

    @property
    def protocol(self) -> Protocol:
        """The data with the scale's numbers of rows."""
        return dataclasses.replace(
            PAPER.data[self.data],
            train_size=self.scale.train_size.get(self.data, 0),
            test_size=self.scale.test_size.get(self.data, 0),
        )

    def baseline(self, name: str) -> Cell:
        """A method without a model."""
        return self._cell(name, None)

    def one_layer(self, method: str, width: int, size: int | None = None) -> Cell:
        """A network of one layer: `width` filters of `size`, or units if there is no size."""
        return self._cell(method, self._specification(method, _layers((width,), size)))

    def stack(self, method: str, width: int, size: int | None = None) -> Cell:
        """A network grown layer by layer, measured at every depth."""
        beats, deepest = self.data == BEATS, max(self.scale.depths)
        bound = self.scale.depth_units if beats else self.scale.depth_filters
        layers = _layers((min(width, bound or width),) * deepest, size)
        specification = self._specification(method, layers)
        if METHODS[method].schedule:
            rates = PAPER.rates["beats" if beats else "images"][:deepest]
            specification = dataclasses.replace(specification, layerwise=True, learning_rate=rates)
        return self._cell(method, specification, self.scale.depths)

    def cebm(self, method: str, depth: int, units: tuple[int, ...] | None = None) -> Cell:
        """A CEBM of the first layers of the paper's network, trained as a whole."""
        network = PAPER.cebm
        if units:
            width = min(units[0], self.scale.depth_units or units[0])
            layers: dict[str, Any] = {"units": (width,) * depth}
        else:
            bound = self.scale.depth_filters if self.scale.name == "smoke" else None
            layers = {
                "filters": tuple(min(n, bound or n) for n in network.filters[:depth]),
                "kernel_size": network.kernel_size[:depth],
                "strides": network.strides[:depth],
                "units": network.units,
            }
        specification = dataclasses.replace(
            self._specification(method, {**layers, "activation": network.activation}),
            objective_settings={"k": self.scale.chain_steps},
            learning_rate=network.learning_rate,
            clipnorm=network.clipnorm,
        )
        return self._cell(method, specification, (depth,))

    def _specification(self, method: str, layers: dict[str, Any]) -> Specification:
        chosen = METHODS[method]
        return Specification(
            model=chosen.model,
            objective=chosen.objective,
            model_settings={**layers, **PAPER.inputs[chosen.inputs][self.protocol.dataset]},
            objective_settings=chosen.objective_settings,
            epochs=self.scale.epochs(self.data, chosen.schedule) if chosen.schedule else 0,
            batch_size=PAPER.batch_size,
            learning_rate=PAPER.rates["images"][0],
        )

    def _cell(
        self, method: str, specification: Specification | None, depths: tuple[int, ...] = (1,)
    ) -> Cell:
        trained = method not in METHODS or bool(METHODS[method].schedule)
        probe = None if self.protocol.is_anomaly else self.scale.probe
        return Cell(self.protocol, method, self.seed, specification, trained, depths, probe)


def _layers(widths: tuple[int, ...], size: int | None) -> dict[str, Any]:
    return {"units": widths} if size is None else {"filters": widths, "kernel_size": size}
