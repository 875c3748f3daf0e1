import numpy as np
import pandas as pd
import pytest

import delvm_tf as dv
from delvm.chosen_rows import ChosenRows


@pytest.mark.parametrize("rows", [7, 8, 100])
def test_the_rows_and_their_labels_whatever_the_parts(rows, tmp_path):
    table = pd.DataFrame({"a": np.arange(50.0), "b": list("xy") * 25, "bad": [0, 0, 0, 0, 1] * 10})
    table[:20].to_csv(tmp_path / "0.csv", index=False)
    table[20:].to_csv(tmp_path / "1.csv", index=False)
    files = dv.datasets.open_table(tmp_path / "*.csv", drop="bad")
    numbers = np.array([0, 8, 9, 19, 20, 34, 49])
    chosen = ChosenRows(files, numbers, table["bad"].to_numpy() == 1)
    read, labels = chosen.joined([*chosen.batches(rows)])
    assert read.to_pydict() == table[["a", "b"]].iloc[numbers].to_dict("list")
    np.testing.assert_array_equal(labels, table["bad"].to_numpy()[numbers])
    np.testing.assert_array_equal(chosen.labels(), labels)
    assert chosen.kinds == {"a": "number", "b": "text"}
    only = chosen.with_kinds({"b": "text"})
    assert [row for part in only for row in part["b"].to_pylist()] == read["b"].to_pylist()
