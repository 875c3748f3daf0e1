"""No row judges what learned from it."""

import numpy as np
import pytest

from delvm.protocol import parted, read_labels

ABNORMAL = np.arange(100) >= 90


@pytest.mark.parametrize(("labels_decide", "used"), [(False, 0), (True, 5)])
def test_a_fifth_of_the_normal_rows_and_the_abnormal_ones_are_the_test(labels_decide, used):
    parts = parted(ABNORMAL, 100, labels_decide, seed=0)
    assert not {*parts.fit} & {*parts.test}
    assert sorted([*parts.fit, *parts.test]) == [*range(100)]
    assert ABNORMAL[parts.fit].sum() == used
    assert (~ABNORMAL[parts.test]).sum() == 18
    assert parts.tested
    assert "trained on 58 normal rows; 14 others set" in parts.text(14)
    assert f"tested on 18 normal and {10 - used} abnormal rows" in parts.text(14)
    assert (", with 5 abnormal ones" in parts.text(14)) == labels_decide
    assert not np.array_equal(parted(ABNORMAL, 100, labels_decide, seed=1).test, parts.test)


@pytest.mark.parametrize("abnormal", [None, np.zeros(100, bool)])
def test_without_abnormal_rows_all_are_learned_from(abnormal):
    parts = parted(abnormal, 100, False, seed=0)
    assert parts.fit.tolist() == [*range(100)]
    assert not parts.tested
    assert "no rows that are labelled abnormal" in parts.text(14)


def test_rows_that_cannot_be_scored_test_nothing():
    parts = parted(ABNORMAL, 100, False, seed=0)
    assert parts.without(ABNORMAL).test.tolist() == [k for k in parts.test if k < 90]
    assert not parts.without(ABNORMAL).tested


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="2 normal rows are too few"):
        parted(np.array([False, False, True]), 3, False, seed=0)
    for abnormal in (None, np.arange(9) == 0):
        with pytest.raises(ValueError, match="needs labels with two abnormal rows"):
            parted(abnormal, 9, True, seed=0)


@pytest.mark.parametrize("labels", [[0, 1, 0], [False, True, False], [1, -1, 1], [0.0, 1.0, 0.0]])
def test_labels_of_both_conventions(labels):
    assert read_labels(np.array(labels), "bad").tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 2], "got 0, 2"), ([0, 1, -1], "got -1, 0, 1"), ([1, 1], "all 2 rows are abnormal"),
     ([-1, -1], "all 2 rows are abnormal")],
)  # fmt: skip
def test_other_labels_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        read_labels(np.array(labels), "bad")
