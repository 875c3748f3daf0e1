"""ECG5000: 5,000 heartbeats of 140 values, standardised per beat, that come with the library.

Class 1 is the normal rhythm (2,919 beats), 2 to 5 are abnormal. The paper used the file `ecg.csv`
of TensorFlow's autoencoder tutorial: these beats, training then test, without the last two,
labelled 1 for class 1 and 0 for the others.

Sources: H. A. Dau et al., The UCR Time Series Classification Archive, 2018; PhysioNet, record chf07
of the BIDMC Congestive Heart Failure Database.
"""

from importlib import resources
from typing import Any

import numpy as np

from delvm_tf.datasets import files
from delvm_tf.datasets.archive import Archive, Arrays, Part
from delvm_tf.datasets.dataset import Array, Dataset
from delvm_tf.datasets.splits import anomaly

ARCHIVE = Archive(
    name="ecg5000",
    row_shape=(140,),
    dtype="float32",
    train=Part(500, "e87c608b2b0b50d86a360c40b4c50182dc41539021f3cd2b3c07c849ea34c8ae"),
    test=Part(4500, "1250b8c32378049d56802e8c4f67b17facffd6f2b71371e63b5bbbb789336614"),
)
NORMAL_CLASS = 1

_CSV_ROWS = 4998
_TEST_SIZE = 0.2
_PAPER_SEED = 21
_NAMES = ("normal rhythm", "abnormal rhythm")
_UNITS = "140 values per heartbeat, standardised per beat."


def standard(seed: int, _data_dir: Any) -> Dataset:
    """A random 80/20 split of the 4,998 beats; normal is the normal rhythm.

    3,998 training rows, of which the normal ones are for training, and 1,000 test rows; 58.4% of
    the beats are normal. Report the mean over seeds 0 to 9.
    """
    x, y = _csv_rows()
    return _random_split("standard", seed, seed, x, y != NORMAL_CLASS, _NAMES, _UNITS)


def paper(seed: int, _data_dir: Any) -> Dataset:
    """The split behind the paper's fig. 7 and 8, with its labels.

    Label 1 of `ecg.csv` marks the normal rhythm, but the paper takes it for 'abnormal': its
    printed recalls are 557, 505 and 512 out of 560, the number of *normal* beats in this test
    set. So y = 1 is the normal rhythm here, and the 1,639 training rows are abnormal beats. Use
    it to reproduce the paper and `standard` for everything else.

    The split is `train_test_split(test_size=0.2, random_state=21)` for every seed: 1,639 training
    rows; 560 rows of label 1 and 440 of label 0 in the test. Rows are raw; the paper's scaling to
    [0, 1] is a normalisation of the model.
    """
    x, y = _csv_rows()
    names = ("abnormal rhythm, the paper's normal", "normal rhythm, the paper's abnormal")
    units = f"{_UNITS} Labels as in the paper, which took the abnormal beats for normal."
    return _random_split("paper", seed, _PAPER_SEED, x, y == NORMAL_CLASS, names, units)


def ucr(seed: int, _data_dir: Any) -> Dataset:
    """The archive's split, not random: 500 training rows, 292 of them normal, 4,500 test rows."""
    x_train, y_train, x_test, y_test = read()
    train, test = (x_train, y_train != NORMAL_CLASS), (x_test, y_test != NORMAL_CLASS)
    return anomaly("ecg5000", "ucr", seed, train, test, _NAMES, _UNITS)


def read() -> Arrays:
    """The file that comes with the library, verified."""
    file = resources.files("delvm_tf.datasets.data") / "ecg5000.npz"
    with resources.as_file(file) as path:
        return files.read(ARCHIVE, path, remedy="it comes with delvm_tf: reinstall that")


def _csv_rows() -> tuple[Array, Array]:
    """Values (4998, 140) and classes (4998,) of `ecg.csv`."""
    x_train, y_train, x_test, y_test = read()
    x, y = np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test])
    return x[:_CSV_ROWS], y[:_CSV_ROWS]


def _random_split(
    protocol: str, seed: int, split_seed: int, x: Array, abnormal: Array,
    class_names: tuple[str, str], description: str,
) -> Dataset:  # fmt: skip
    from sklearn.model_selection import train_test_split

    x_train, x_test, abnormal_train, abnormal_test = train_test_split(
        x, abnormal, test_size=_TEST_SIZE, random_state=split_seed
    )
    train, test = (x_train, abnormal_train), (x_test, abnormal_test)
    return anomaly("ecg5000", protocol, seed, train, test, class_names, description)


PROTOCOLS = {"standard": standard, "paper": paper, "ucr": ucr}
