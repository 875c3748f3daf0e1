"""Data sets by name.

A data set is a module with a table `PROTOCOLS` from names to functions, the default first. Such a
function takes the seed and the data folder by position and its own options by keyword, and returns
a `Dataset`. To add one, write the module and its test, and name it in `_NAMES`; data sets of a user
are registered.
"""

import importlib
import inspect
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from delvm_tf.datasets.dataset import Dataset

_NAMES = ("cifar10", "digits", "ecg5000", "fashion_mnist")
Protocol = Callable[..., Dataset]
_REGISTERED: dict[str, dict[str, Protocol]] = {}
_LARGEST_SEED = 2**32 - 1  # of scikit-learn's splits


def names() -> list[str]:
    """Names of the data sets: those of the library, then those of `register`.

    Examples:
        >>> dv.datasets.names()
        ['cifar10', 'digits', 'ecg5000', 'fashion_mnist']
    """
    return [*_NAMES, *_REGISTERED]


def register(name: str, loader: Protocol | Mapping[str, Protocol] | None = None) -> Any:
    """Add a data set of your own, which `load` and the programs then take by its name.

    Args:
        name: of letters, digits, `_`, `.` and `-`.
        loader: takes the seed and the data folder by position and options by keyword, and returns
            a `Dataset`; or several by the names of their protocols, the default first, such as
            `streams.protocols_of` makes from files. Without it this is a decorator.

    Raises:
        ValueError: for a name that is taken or has other characters.
        TypeError: for a loader that does not take a seed and a folder.

    Examples:
        >>> @dv.datasets.register("bearings")
        ... def bearings(seed, data_dir, *, speed=1500):
        ...     rows = np.random.default_rng(seed).normal(speed, size=(100, 4))
        ...     zeros = np.zeros(50, "int64")
        ...     return dv.datasets.Dataset(
        ...         "bearings", "standard", seed, rows[:50], zeros, rows[50:], zeros
        ...     )
        >>> dv.datasets.load("bearings", speed=900).input_shape
        (4,)
    """
    if loader is None:
        return lambda function: register(name, function)
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(f"a name has letters, digits, _, . and -, got {name!r}")
    if name in names():
        raise ValueError(f"there is a data set {name!r} already; choose another name")
    own = dict(loader) if isinstance(loader, Mapping) else {"standard": loader}
    for each in own.values():
        try:
            inspect.signature(each).bind(0, None)
        except TypeError as error:
            raise TypeError(
                f"the loader of {name!r} must take (seed, data_dir) and give a Dataset, got "
                f"{each!r}"
            ) from error
    _REGISTERED[name] = own
    return loader


def protocols(name: str) -> list[str]:
    """Names of the protocols of a data set, the default first.

    Args:
        name: one of `names()`.

    Raises:
        ValueError: for an unknown name.

    Examples:
        >>> dv.datasets.protocols("ecg5000")
        [...'standard'...]
    """
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

    Examples:
        >>> data = dv.datasets.load("ecg5000", protocol="standard", seed=0)
        >>> data.x_train.shape, data.class_names
        ((2333, 140), ('normal rhythm', 'abnormal rhythm'))
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
    data = table[protocol](int(seed), data_dir, **options)
    if name in _REGISTERED and not isinstance(data, Dataset):
        raise TypeError(f"the loader of {name!r} must give a Dataset, got {type(data).__name__}")
    return data


def _protocol_table(name: str) -> dict[str, Protocol]:
    if name in _REGISTERED:
        return _REGISTERED[name]
    if name not in _NAMES:
        raise ValueError(f"unknown data set {name!r}; expected one of {', '.join(names())}")
    return importlib.import_module(f"delvm_tf.datasets.{name}").PROTOCOLS
