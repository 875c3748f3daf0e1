"""Data sets in raw units, split into training and test parts by a named protocol.

    data = delvm_tf.datasets.load("ecg5000", protocol="standard", seed=0)

`names()` lists the data sets and `protocols(name)` what each can be split by. Nothing is read,
downloaded or imported beyond NumPy before `load` is called. `streams` is for data that do not fit
in memory, and `open_table` for tables of any size with columns of any kind.
"""

import importlib
from typing import Any

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.dataset import Dataset
from delvm_tf.datasets.load import load, names, protocols, register

__all__ = [
    "ContentsError", "Dataset", "TableFiles", "load", "names", "open_table", "protocols",
    "register", "streams",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "streams":  # needs TensorFlow, the rest does not
        return importlib.import_module("delvm_tf.datasets.streams")
    if name in ("TableFiles", "open_table"):
        return getattr(importlib.import_module("delvm_tf.datasets.tables"), name)
    raise AttributeError(f"module 'delvm_tf.datasets' has no attribute {name!r}")
