from types import SimpleNamespace

import numpy as np
import pyarrow as pa

import delvm_tf as dv
from delvm.judging import scores_of


def test_rows_without_a_score_are_told_from_others():
    x = pa.table({"a": [0.0, 1.0, 2.0], "b": [1.0, 3.0, 5.0]})
    mean = dv.detection.DistanceToMean().fit(np.column_stack([*map(np.asarray, x.columns)]))
    detector = dv.AnomalyDetector(mean, contamination=0.4).fit(x.to_pandas())
    new = pa.table({"a": [None, 1.0, 2.0], "b": [1.0, 3.0, None]})
    np.testing.assert_allclose(
        scores_of(detector, SimpleNamespace(tables=lambda: [new[:1], new[1:]])),
        [np.nan, 0, np.nan],
        atol=1e-6,
    )
