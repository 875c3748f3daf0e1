"""A table that is read in parts says the same of its rows as one in memory."""

import numpy as np
import pandas as pd
import pytest

from delvm.reading import read
from delvm_tf.datasets.streams import TableOptions


@pytest.fixture
def pattern(tmp_path):
    """Three files of 400 rows, of which cells are missing."""
    rng = np.random.default_rng(0)
    for k in range(3):
        table = pd.DataFrame({"x": np.arange(400.0) + 400 * k, "site": rng.choice(["a", "b"], 400)})
        table.loc[::7, "site"] = None
        table["bad"] = (rng.random(400) < 0.1).astype(int)
        table.to_csv(tmp_path / f"{k}.csv", index=False)
    return str(tmp_path / "*.csv")


def test_parts_are_those_of_the_table_in_memory(pattern):
    options = TableOptions(label="bad")
    whole = read(pattern, options, {}, 10**6)
    parts = read(pattern, options, {}, 600)
    assert whole.in_memory
    assert not parts.in_memory
    assert parts.rows == 1200
    assert parts.sample == whole.sample.take(parts.sampled)
    assert parts.missing == whole.missing == {"x": 0, "site": 3 * 58}
    np.testing.assert_array_equal(parts.abnormal, whole.abnormal)
    rows = np.array([1100, 3, 405, 400, 3])
    assert parts.take(rows) == whole.take(rows)
    assert parts.place(805) == whole.place(805) == (pattern.replace("*", "2"), 5)
    columns = [c["missing"] for c in parts.summary()["columns"]]
    assert columns == [c["missing"] for c in whole.summary()["columns"]]


def test_the_sample_is_random_over_all_files(pattern):
    sampled = read(pattern, TableOptions(), {}, 1200).sampled  # of 3 columns
    assert (np.diff(sampled) > 0).all()
    assert 200 <= len(sampled) <= 400
    shares = np.bincount(sampled // 400, minlength=3) / len(sampled)
    assert np.abs(shares - 1 / 3).max() < 4 * np.sqrt(2 / 9 / len(sampled))
