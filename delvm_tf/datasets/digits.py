"""Digits: 1,797 images of 8×8 pixels in ten classes, values 0 to 16, that come with scikit-learn.

Small enough for examples and tests. It has no official split: 1,437 training and 360 test images
(8, 8, 1) float32 are drawn by the seed, stratified by class.

Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
Repository, 1998.
"""

from typing import Any

from delvm_tf.datasets import splits
from delvm_tf.datasets.archive import Arrays

CLASS_NAMES = tuple("0123456789")

_TEST_SIZE = 0.2
_DESCRIPTION = "8×8 images of digits, values 0 to 16."


def _split(seed: int, _data_dir: Any) -> Arrays:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    x = digits.images.astype("float32")[..., None]
    y = digits.target.astype("int64")
    x_train, x_test, y_train, y_test = train_test_split(
        x, y, test_size=_TEST_SIZE, random_state=seed, stratify=y
    )
    return Arrays(x_train, y_train, x_test, y_test)


PROTOCOLS = splits.of_classes("digits", _split, CLASS_NAMES, _DESCRIPTION)
