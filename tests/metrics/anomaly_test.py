import numpy as np
import pytest

from delvm_tf.metrics.anomaly import anomaly_metrics

Y = [0, 0, 1, 1, 0, 1]
SCORES = [0.1, 0.4, 0.35, 0.8, 0.7, 0.9]


def test_figures_of_a_small_example_counted_by_hand():
    # Ranked from the highest: 1 1 0 0 1 0. Above 0.5 there are two of three abnormal, one normal.
    figures = anomaly_metrics(Y, SCORES, threshold=0.5)
    assert figures["auroc"] == pytest.approx(7 / 9)  # of nine pairs, 3 + 3 + 1 are in order
    assert figures["average_precision"] == pytest.approx((1 / 1 + 2 / 2 + 3 / 5) / 3)
    assert figures["precision"] == pytest.approx(2 / 3)
    assert figures["recall"] == pytest.approx(2 / 3)
    assert figures["f1"] == pytest.approx(2 / 3)


def test_precision_and_recall_are_those_of_the_abnormal_class():
    figures = anomaly_metrics([0, 0, 0, 1], [1.0, 2.0, 3.0, 4.0], threshold=1.5)
    assert figures["precision"] == pytest.approx(1 / 3)
    assert figures["recall"] == 1.0
    assert figures["f1"] == pytest.approx(1 / 2)


def test_a_score_at_the_threshold_is_normal():
    figures = anomaly_metrics([0, 1], [1.0, 1.0], threshold=1.0)
    assert figures["recall"] == 0.0


def test_nothing_found_gives_zeros_and_not_a_warning(recwarn):
    figures = anomaly_metrics(Y, SCORES, threshold=2.0)
    assert (figures["f1"], figures["precision"], figures["recall"]) == (0.0, 0.0, 0.0)
    assert len(recwarn) == 0


def test_figures_are_plain_numbers():
    figures = anomaly_metrics(np.array(Y), np.array(SCORES, np.float32), threshold=0.5)
    assert all(type(value) is float for value in figures.values())


def test_lengths_must_match():
    with pytest.raises(ValueError, match=r"\(6,\) labels do not match \(5,\) scores"):
        anomaly_metrics(Y, SCORES[:5], threshold=0.5)


@pytest.mark.parametrize("y", [[0] * 6, [1] * 6, [-1, -1, 1, 1, -1, 1], [0, 1, 2, 0, 1, 2]])
def test_labels_must_hold_both_classes_and_no_other(y):
    with pytest.raises(ValueError, match=r"must include both classes, 0 \(normal\) and 1"):
        anomaly_metrics(y, SCORES, threshold=0.5)


def test_infinite_scores_rank_highest_and_nan_is_refused():
    y = np.array([0, 1, 0, 1])
    infinite = anomaly_metrics(y, np.array([0.0, np.inf, 2.0, 1.0]), 1.5)
    assert infinite == anomaly_metrics(y, np.array([0.0, 9.0, 2.0, 1.0]), 1.5)
    with pytest.raises(ValueError, match="1 of 4 scores are NaN"):
        anomaly_metrics(y, np.array([0.0, np.nan, 2.0, 1.0]), 1.5)
