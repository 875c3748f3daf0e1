"""Downloading through TensorFlow Datasets, an optional dependency."""

import numpy as np

from delvm_tf.datasets.dataset import Array

_BATCH = 1000


def fetch(name: str) -> dict[str, Array]:
    """`x_train`, `y_train`, `x_test`, `y_test` of images, downloaded on first use and kept by TFDS.

    TFDS has another order than the official files, so that a seed picks other rows. Without a
    network it retries for about three minutes, and then raises whatever its libraries do.
    """
    import tensorflow_datasets

    halves = ("train", "test")
    # batch by batch: the whole in one batch (batch_size=-1) would hold it in memory three times
    parts = tensorflow_datasets.load(
        name, split=list(halves), batch_size=_BATCH, as_supervised=True
    )
    arrays = {}
    for half, part in zip(halves, parts, strict=True):
        images, labels = zip(*tensorflow_datasets.as_numpy(part), strict=True)
        arrays[f"x_{half}"] = np.concatenate(images)
        arrays[f"y_{half}"] = np.concatenate(labels)
    return arrays
