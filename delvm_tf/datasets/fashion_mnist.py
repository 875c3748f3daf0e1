"""Fashion-MNIST: 60,000 training and 10,000 test images of 28×28 pixels in ten classes, uint8.

Images are (28, 28, 1), in the official split; nothing is drawn at random.

Source: H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking
Machine Learning Algorithms, arXiv:1708.07747, 2017 (MIT licence).
"""

from typing import Any

from delvm_tf.datasets import files, splits
from delvm_tf.datasets.archive import Archive, Arrays, Part

ARCHIVE = Archive(
    name="fashion_mnist",
    row_shape=(28, 28),
    dtype="uint8",
    train=Part(60_000, "0c69d5cdeb902b69084012f812f066de080317bb3c64f43ca87f910d8ec86906"),
    test=Part(10_000, "90c92c0507755a7d443edde8297ce4d0f131e42884e2e87e7fc9b81ffe215258"),
)
CLASS_NAMES = (
    "t-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip

_DESCRIPTION = "28×28 grey images of clothes, values 0 to 255."


def _images(_seed: int, data_dir: Any) -> Arrays:
    arrays = files.find(ARCHIVE, data_dir)
    return arrays._replace(x_train=arrays.x_train[..., None], x_test=arrays.x_test[..., None])


PROTOCOLS = splits.of_classes("fashion_mnist", _images, CLASS_NAMES, _DESCRIPTION)
