"""Data sets in raw units, split into training and test parts by a named protocol.

    data = delvm_tf.datasets.load("ecg5000", protocol="standard", seed=0)

`names()` lists the data sets and `protocols(name)` what each can be split by. Nothing is read,
downloaded or imported beyond NumPy before `load` is called.
"""

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.dataset import Dataset
from delvm_tf.datasets.load import load
from delvm_tf.datasets.registry import names, protocols

__all__ = ["ContentsError", "Dataset", "load", "names", "protocols"]
