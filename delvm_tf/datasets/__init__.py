"""Data sets in raw units, split into training and test parts by a named protocol.

    data = delvm_tf.datasets.load("ecg5000", protocol="standard", seed=0)

`names()` lists the data sets and `protocols(name)` what each can be split by. Nothing is read,
downloaded or imported beyond NumPy before `load` is called. `streams` is for data that do not fit
in memory.
"""

import importlib
from typing import Any

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.dataset import Dataset
from delvm_tf.datasets.load import load, names, protocols, register

__all__ = ["ContentsError", "Dataset", "load", "names", "protocols", "register", "streams"]


def __getattr__(name: str) -> Any:
    if name == "streams":  # needs TensorFlow, the rest does not
        return importlib.import_module("delvm_tf.datasets.streams")
    raise AttributeError(f"module 'delvm_tf.datasets' has no attribute {name!r}")
