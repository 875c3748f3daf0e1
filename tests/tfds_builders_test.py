"""The bundled heartbeats through TensorFlow Datasets, without a network."""

import numpy as np
import pytest

import delvm_tf as dv


def test_ecg5000_by_tensorflow_datasets(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    import delvm_tf.datasets.tfds_builders  # noqa: F401

    data = dv.datasets.load("ecg5000", protocol="ucr")
    for split, x, y in (
        ("train", data.x_calibration, data.y_calibration), ("test", data.x_test, data.y_test),
    ):  # fmt: skip
        loaded = tfds.load("ecg5000", split=split, data_dir=tmp_path, as_supervised=True)
        series, labels = (
            np.concatenate(c) for c in zip(*loaded.batch(1000).as_numpy_iterator(), strict=True)
        )
        assert series.dtype == np.float32
        np.testing.assert_array_equal(*(
            table[np.lexsort(table.T)]
            for table in (np.column_stack([series, labels > 0]), np.column_stack([x, y]))
        ))  # fmt: skip
