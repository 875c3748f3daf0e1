"""What a detector is fitted on: rows that are trained on, and those that set the threshold."""

import numpy as np
import pandas as pd
import pytest

import delvm_tf as dv
from delvm_tf.detection import table_rows


def weighted_f1(threshold, normal, abnormal, weight):
    """F1 of abnormal rows, where each normal one stands for `weight` of them."""
    hits = np.sum(abnormal > threshold)
    return 2 * hits / (hits + len(abnormal) + weight * np.sum(normal > threshold))


def best_cuts(normal, abnormal, weight):
    """The best F1 over all cuts, and the cuts that have it."""
    cuts = np.sort(np.concatenate([normal, abnormal]))
    found = np.array([weighted_f1(cut, normal, abnormal, weight) for cut in cuts])
    return found.max(), cuts[found == found.max()]


@pytest.mark.parametrize("holdout", [0.0, 0.2])
@pytest.mark.parametrize("given", ["array", "files"])
def test_held_out_rows_stand_for_all_normal_ones(given, holdout, tmp_path, monkeypatch):
    """F1 depends on how many rows are normal, most of which are not there to set the threshold."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 2)).astype("float32")
    abnormal = np.arange(500) >= 350
    x[abnormal] += 1.5
    detector = dv.AnomalyDetector(threshold="best_f1", epochs=1, holdout=holdout)
    if given == "array":
        detector.fit(x, np.where(abnormal, -1, 1))
    else:
        monkeypatch.setattr(table_rows, "SMALL", 0)
        frame = pd.DataFrame(x, columns=["a", "b"]).assign(bad=abnormal.astype(int))
        frame.to_csv(tmp_path / "a.csv", index=False)
        detector.fit(dv.datasets.open_table(tmp_path / "a.csv", label="bad"))
    normal, strange = detector.normal_scores_, detector.anomaly_score(x[abnormal])
    weight = 350 / len(normal)
    assert abs(len(normal) - 350 * (holdout or 1)) < 30
    found = weighted_f1(detector.threshold_, normal, strange, weight)
    best, _ = best_cuts(normal, strange, weight)
    assert found == pytest.approx(best, rel=1e-12)
    if holdout:  # counted as they are, another cut would be the best
        _, others = best_cuts(normal, strange, 1.0)
        assert all(weighted_f1(cut, normal, strange, weight) < best for cut in others)
