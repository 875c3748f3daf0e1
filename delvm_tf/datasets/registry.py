"""The data sets by name.

A data set is a module with a table `PROTOCOLS` from names to functions, the default first. Such a
function takes the seed and the data folder by position and its own options by keyword, and returns
a `Dataset`. To add one, write the module and its test, and register it here.
"""

import importlib
from collections.abc import Callable

from delvm_tf.datasets.dataset import Dataset

_MODULES = {
    "cifar10": "delvm_tf.datasets.cifar10",
    "digits": "delvm_tf.datasets.digits",
    "ecg5000": "delvm_tf.datasets.ecg5000",
    "fashion_mnist": "delvm_tf.datasets.fashion_mnist",
}


def names() -> list[str]:
    """Names of the data sets."""
    return list(_MODULES)


def protocols(name: str) -> list[str]:
    """Names of the protocols of a data set, the default first.

    Raises:
        ValueError: for an unknown data set.
    """
    return list(protocol_table(name))


def protocol_table(name: str) -> dict[str, Callable[..., Dataset]]:
    """The protocols of a data set, the default first.

    Raises:
        ValueError: for an unknown data set.
    """
    if name not in _MODULES:
        raise ValueError(f"unknown data set {name!r}; expected one of {', '.join(_MODULES)}")
    table: dict[str, Callable[..., Dataset]] = importlib.import_module(_MODULES[name]).PROTOCOLS
    return table
