import errno
import sys

import numpy as np
import pytest

from trainers.evaluation.feature_table import feature_table
from trainers.evaluation.probe import LinearProbe


def test_the_table_holds_what_the_function_gives(rng, tmp_path):
    x = rng.normal(size=(1203, 4, 3))
    table = feature_table(lambda batch: batch.reshape(len(batch), -1) ** 2, x, tmp_path / "table")
    assert isinstance(table, np.memmap)
    np.testing.assert_array_equal(table, np.float32(x.reshape(1203, 12) ** 2))


def test_a_probe_learns_from_it_as_from_an_array(rng, tmp_path):
    y = np.repeat([0, 1, 2], 200)
    x = rng.normal(size=(600, 5)).astype("float32") + np.eye(5, dtype="float32")[y]
    table = feature_table(lambda batch: batch, x, tmp_path / "table")
    probes = [LinearProbe(0.01, minimum_steps=50).fit(X, y) for X in (table, x)]
    np.testing.assert_allclose(*(probe.model_.predict(x) for probe in probes), atol=1e-5)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda b: b.sum(axis=1), r"must have shape \(500, features\), got \(500,\)"),
        (lambda b: b[:5], r"got \(5, 2\)"),
        (lambda b: b if len(b) == 500 else b[:, :1], r"must have shape \(100, 2\), got \(100, 1\)"),
        (lambda b: np.where(b == 560, np.nan, b), "in 1 of the examples 500 to 599"),
    ],
)
def test_features_that_are_no_table_are_refused(tmp_path, function, message):
    x = np.arange(600.0)[:, None] + [0, 1000]
    with pytest.raises(ValueError, match=message):
        feature_table(function, x, tmp_path / "table")


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_full_disk_is_an_error(tmp_path):
    full = tmp_path / "table"
    full.symlink_to("/dev/full")
    with pytest.raises(OSError) as error:
        feature_table(lambda batch: batch, np.zeros((5000, 50), "float32"), full)
    assert error.value.errno == errno.ENOSPC
