"""The spaces by name."""

from typing import Any

from tuning.space import Fixed, Options, Range, Setting, Space

_SM, _CD = ("objective", ("score-matching",)), ("objective", ("cd",))
_DSM = ("objective", ("denoising",))
_LATTICE = ("trace", ("lattice",))


def _training(*epochs: int) -> tuple[Setting, ...]:
    return (
        Range("learning_rate", low=1e-4, high=3e-3),
        Options("batch_size", values=(50, 100, 200)),
        Options("epochs", values=epochs),
    )


def _objectives(*traces: str) -> tuple[Setting, ...]:
    return (
        Options("model", values=("delvm", "dem", "dsebm")),
        Options("objective", values=("score-matching", "denoising", "cd")),
        Options("trace", "objective", _SM, values=traces),
        Range("sigma", "objective", _DSM, low=0.3, high=2.0),
        Options("k", "objective", _CD, values=(1, 2, 5)),
    )


def _inputs(*normalizations: str) -> tuple[Setting, ...]:
    return (
        Options("normalization", "model", values=normalizations),
        Range("scale", "model", low=0.2, high=4.0),
        Options("activation", "model", values=("relu", "softplus")),
        Options("bias_constraint", "model", values=(None, "non_positive")),
    )


def _images(dataset: str, *normalizations: str) -> Space:
    return Space(
        dataset, "classification", "probe",
        (
            *_objectives("auto", "lattice", "hutchinson"),
            Options("spacing", "objective", _LATTICE, values=(2, 3, 5)),
            Options("filters", "model", values=((40,), (80,), (32, 32), (32, 32, 32))),
            Options("kernel_size", "model", values=(3, 5, 7)),
            *_inputs(*normalizations),
            *_training(3, 5, 10),
        ),
        "convolutional models of images, by the accuracy of a linear classifier",
    )  # fmt: skip


def _paper_images(dataset: str) -> Space:
    return Space(
        dataset, "classification", "probe",
        (
            Options("objective", values=("score-matching", "cd")),
            Options("filters", "model", values=tuple((n,) for n in range(10, 90, 10))),
            Options("kernel_size", "model", values=(3, 5, 7, 9)),
            Fixed("normalization", "model", value="center"),
            Fixed("scale", "model", value=3.0),
            Fixed("epochs", when=_SM, value=10),
            Fixed("epochs", when=_CD, value=100),
        ),
        "the grid of the paper's one-layer networks for images",
    )  # fmt: skip


SPACES: dict[str, Space] = {
    "ecg5000": Space(
        "ecg5000", "standard", "auroc",
        (
            *_objectives("hutchinson", "auto"),
            Options("units", "model", values=((256,), (256, 128), (512, 128, 128), (1024, 512))),
            *_inputs("center", "zscore"),
            *_training(10, 20, 30),
        ),
        "dense models of heartbeats, by AUROC of held-out beats",
    ),
    "fashion-mnist": _images("fashion_mnist", "center", "zscore"),
    "cifar10": _images("cifar10", "center", "zscore", "zca"),
    "digits": _images("digits", "center", "zscore"),
    "paper-fmnist": _paper_images("fashion_mnist"),
    "paper-cifar10": _paper_images("cifar10"),
    "paper-ecg": Space(
        "ecg5000", "paper", "auroc",
        (
            Options("objective", values=("score-matching", "cd")),
            Options("units", "model", values=tuple((2**n,) for n in range(6, 12))),
            Fixed("normalization", "model", value="center"),
            Fixed("scale", "model", value=3.0),
            Fixed("epochs", when=_SM, value=10),
            Fixed("epochs", when=_CD, value=100),
        ),
        "the paper's one-layer networks for heartbeats",
    ),
}  # fmt: skip


def space_named(name: str) -> Space:
    """A space by name.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in SPACES:
        raise ValueError(f"unknown space {name!r}; expected one of {', '.join(SPACES)}")
    return SPACES[name]


def table_of_space(space: Space) -> list[dict[str, Any]]:
    """One row for each setting, for people."""
    return [
        {
            "setting": setting.name, "values": setting.words(),
            "when": "" if setting.when is None
            else f"{setting.when[0]} is {' or '.join(map(str, setting.when[1]))}",
        }
        for setting in space.settings
    ]  # fmt: skip
