"""From a method and its layers to a cell."""

import dataclasses
from typing import Any

from delvm_tf.catalog import Specification
from trainers.experiments.paper import methods as m
from trainers.experiments.paper.cells import Cell, Protocol
from trainers.experiments.paper.scales import BEATS, CIFAR, CIFAR_ANOMALIES, FASHION, Scale

_PROTOCOLS = {
    FASHION: Protocol("fashion_mnist", "classification"),
    CIFAR: Protocol("cifar10", "classification"),
    CIFAR_ANOMALIES: Protocol("cifar10", "paper", threshold="best_f1"),
    BEATS: Protocol("ecg5000", "paper", threshold="mean_std"),
}


def dataset_of(data: str) -> str:
    """The data set behind a name of `scales`."""
    return _PROTOCOLS[data].dataset


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Makes the cells on some data, at a scale, with a seed."""

    data: str
    scale: Scale
    seed: int

    @property
    def protocol(self) -> Protocol:
        """The data with the scale's numbers of rows."""
        return dataclasses.replace(
            _PROTOCOLS[self.data],
            train_size=self.scale.train_size.get(self.data, 0),
            test_size=self.scale.test_size.get(self.data, 0),
        )

    def baseline(self, name: str) -> Cell:
        """A method without a model."""
        return self._cell(name, None)

    def one_layer(self, method: str, width: int, size: int | None = None) -> Cell:
        """A network of one layer: `width` filters of `size`, or units if there is no size."""
        return self._cell(method, self._specification(method, self._layers((width,), size)))

    def stack(self, method: str, width: int, size: int | None = None) -> Cell:
        """A network grown layer by layer, measured at every depth."""
        bound = self.scale.depth_units if self.data == BEATS else self.scale.depth_filters
        layers = self._layers((min(width, bound or width),) * max(self.scale.depths), size)
        rates = (m.BEAT_RATES if self.data == BEATS else m.IMAGE_RATES)[: max(self.scale.depths)]
        specification = self._specification(method, layers)
        if m.METHODS[method].schedule:
            specification = dataclasses.replace(specification, layerwise=True, learning_rate=rates)
        return self._cell(method, specification, self.scale.depths)

    def cebm(self, method: str, depth: int, units: tuple[int, ...] | None = None) -> Cell:
        """A CEBM of the first layers of the paper's network, trained as a whole."""
        if units:
            width = min(units[0], self.scale.depth_units or units[0])
            layers: dict[str, Any] = {"units": (width,) * depth}
        else:
            bound = self.scale.depth_filters if self.scale.name == "smoke" else None
            layers = {
                "filters": tuple(min(n, bound or n) for n in m.CEBM_FILTERS[:depth]),
                "kernel_size": m.CEBM_SIZES[:depth],
                "strides": m.CEBM_STRIDES[:depth],
                "units": m.CEBM_UNITS,
            }
        specification = dataclasses.replace(
            self._specification(method, {**layers, "activation": "silu"}),
            objective_settings={"k": self.scale.chain_steps},
            learning_rate=m.CEBM_RATE,
            clipnorm=m.CEBM_CLIPNORM,
        )
        return self._cell(method, specification, (depth,))

    def _layers(self, widths: tuple[int, ...], size: int | None) -> dict[str, Any]:
        return {"units": widths} if size is None else {"filters": widths, "kernel_size": size}

    def _specification(self, method: str, layers: dict[str, Any]) -> Specification:
        chosen = m.METHODS[method]
        return Specification(
            model=chosen.model,
            objective=chosen.objective or None,
            model_settings={**layers, **m.INPUTS[chosen.inputs][self.protocol.dataset]},
            objective_settings=dict(chosen.objective_settings),
            epochs=self.scale.epochs(self.data, chosen.schedule) if chosen.schedule else 0,
            batch_size=m.BATCH_SIZE,
            learning_rate=m.IMAGE_RATES[0],
        )

    def _cell(
        self, method: str, specification: Specification | None, depths: tuple[int, ...] = (1,)
    ) -> Cell:
        trained = method not in m.METHODS or bool(m.METHODS[method].schedule)
        probe = None if self.protocol.is_anomaly else self.scale.probe
        return Cell(self.protocol, method, self.seed, specification, trained, depths, probe)
