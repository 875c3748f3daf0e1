"""Data sets by name.

A data set is a module with a table `PROTOCOLS` from names to functions, the default first. Such a
function takes the seed and the data folder by position and its own options by keyword, and returns
a `Dataset`. To add one, write the module and its test, and name it in `_NAMES`.
"""

import importlib
import inspect
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from delvm_tf.datasets.dataset import Dataset

_NAMES = ("cifar10", "digits", "ecg5000", "fashion_mnist")
_LARGEST_SEED = 2**32 - 1  # of scikit-learn's splits


def names() -> list[str]:
    """Names of the data sets."""
    return list(_NAMES)


def protocols(name: str) -> list[str]:
    """Names of the protocols of a data set, the default first; ValueError if it is unknown."""
    return list(_protocol_table(name))


def load(
    name: str,
    protocol: str | None = None,
    seed: int = 0,
    data_dir: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Dataset:
    """Load a data set and split it by a protocol.

    ECG5000 and digits come with the library. Fashion-MNIST and CIFAR-10 are read from
    `<name>.npz` in `data_dir` or `$DELVM_DATA_DIR`, and otherwise downloaded by TensorFlow
    Datasets. All contents are verified. The module of a data set describes its protocols.

    Args:
        name: one of `names()`.
        protocol: one of `protocols(name)`; by default the first of them.
        seed: seed of whatever the protocol draws at random, 0 to 2³² − 1.
        data_dir: folder of the archives that do not come with the library.
        **options: options of the protocol, for instance `normal_class` of `one-vs-rest`.

    Returns:
        Read-only arrays in raw units.

    Raises:
        ValueError: for an unknown name, protocol or option, or a seed out of range.
        TypeError: if the seed is not an integer.
        ContentsError: if the data are damaged or altered.
        FileNotFoundError: if the data are not in the folder and cannot be downloaded.

    Example:
        >>> load("ecg5000", protocol="standard", seed=0).input_shape
        (140,)
    """
    table = _protocol_table(name)
    if protocol is None:
        protocol = next(iter(table))
    if protocol not in table:
        raise ValueError(
            f"unknown protocol {protocol!r} of {name}; expected one of {', '.join(table)}"
        )
    known = [
        parameter.name
        for parameter in inspect.signature(table[protocol]).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    if unknown := [option for option in options if option not in known]:
        raise ValueError(
            f"unknown options {', '.join(unknown)} of {name} under protocol {protocol!r}; "
            f"expected {'some of ' + ', '.join(known) if known else 'none'}"
        )
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"seed must be a non-negative integer, got {seed!r}")
    if not 0 <= seed <= _LARGEST_SEED:
        raise ValueError(f"seed must lie between 0 and {_LARGEST_SEED}, got {seed}")
    return table[protocol](int(seed), data_dir, **options)


def _protocol_table(name: str) -> dict[str, Callable[..., Dataset]]:
    if name not in _NAMES:
        raise ValueError(f"unknown data set {name!r}; expected one of {', '.join(_NAMES)}")
    return importlib.import_module(f"delvm_tf.datasets.{name}").PROTOCOLS
