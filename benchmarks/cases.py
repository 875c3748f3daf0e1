"""The networks that are timed, and the methods that can serve each."""

from dataclasses import dataclass

import keras

import delvm_tf as dv

BATCH = 100


@dataclass(frozen=True)
class Case:
    """A network and the batch sizes at which its methods are timed.

    Attributes:
        name: what the table calls it.
        shape: shape of one input.
        layers: units of dense layers, or filters of convolutions.
        kernel_size: side of the filters, or None for dense layers.
        batches: by trace, the examples of one step; the autoencoder takes the same. Times are per
            example, so slow methods get by with few.
    """

    name: str
    shape: tuple[int, ...]
    layers: tuple[int, ...]
    kernel_size: int | None
    batches: dict[str, int]

    def network(self) -> keras.Sequential:
        """The ReLU network, always with the same initial weights."""
        if self.kernel_size is None:
            return dv.networks.ffnn(self.layers, seed=0, input_shape=self.shape)
        return dv.networks.cnn(self.layers, self.kernel_size, seed=0, input_shape=self.shape)


def _convolutions(
    side: int, channels: int, size: int, depth: int, filters: int, batches: dict[str, int]
) -> Case:
    name = f"{depth} × {filters} filters of {size}×{size} on {side}×{side}×{channels}"
    return Case(name, (side, side, channels), (filters,) * depth, size, batches)


CASES: dict[str, list[Case]] = {
    "cpu": [
        Case("dense 140 → 2048", (140,), (2048,), None,
             {"closed_form": BATCH, "hutchinson": BATCH, "basis": BATCH, "nested_tape": BATCH}),
        Case("dense 140 → 4 × 2048", (140,), (2048,) * 4, None,
             {"auto": BATCH, "basis": BATCH}),
        _convolutions(28, 1, 5, 1, 70,
                      {"closed_form": BATCH, "hutchinson": BATCH, "lattice": 10, "nested_tape": 2}),
        _convolutions(28, 1, 5, 2, 70, {"auto": BATCH, "windows": 10, "lattice": 4}),
        _convolutions(28, 1, 5, 4, 70, {"auto": 20, "windows": 2, "lattice": 1}),
        _convolutions(32, 3, 3, 1, 70, {"closed_form": BATCH, "hutchinson": BATCH}),
        _convolutions(32, 3, 3, 2, 70, {"auto": BATCH, "windows": 10, "lattice": 4}),
        _convolutions(32, 3, 3, 4, 70, {"auto": 20, "windows": 4, "lattice": 2}),
    ],
    "smoke": [
        Case("dense 6 → 8", (6,), (8,), None,
             {"closed_form": 4, "hutchinson": 4, "basis": 4, "nested_tape": 4}),
        _convolutions(6, 1, 3, 2, 4, {"auto": 4, "windows": 4, "lattice": 4, "nested_tape": 2}),
    ],
}  # fmt: skip

# How costs grow with the size of the image and with depth.
GROWTH: dict[str, list[Case]] = {
    "cpu": [
        *(_convolutions(side, 1, 3, 2, 32, {"auto": 10, "exact": 2}) for side in (8, 16, 32, 64)),
        *(_convolutions(16, 1, 3, depth, 32, {"auto": 10, "exact": 2}) for depth in (1, 2, 3, 4)),
    ],
    "smoke": [_convolutions(side, 1, 3, 2, 4, {"auto": 2, "exact": 2}) for side in (5, 6)],
}

# The network whose estimates are compared over lattice spacings, and the draws for the variance.
SPACINGS: dict[str, tuple[Case, int]] = {
    "cpu": (_convolutions(28, 1, 5, 2, 16, {"lattice": 10}), 24),
    "smoke": (_convolutions(6, 1, 3, 2, 3, {"lattice": 4}), 8),
}

# The case whose exact step at the full batch must stay within the memory budget.
MEMORY: dict[str, tuple[Case, str, int]] = {
    "cpu": (CASES["cpu"][-1], "exact", BATCH),
    "smoke": (CASES["smoke"][-1], "exact", 4),
}

# What other libraries are asked to do.
PEER_CASES: dict[str, list[Case]] = {
    "cpu": [case for case in CASES["cpu"] if case.shape == (28, 28, 1) and len(case.layers) <= 2],
    "smoke": CASES["smoke"][1:],
}
