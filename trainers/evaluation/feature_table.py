"""Tables of features that may be larger than memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import gen_batches

BATCH = 500  # examples at a time


def feature_table(function: Callable[[Any], Any], x: Any, path: Path) -> np.ndarray:
    """Features of examples, computed batch by batch, as a memory map (n, features) of float32.

    Args:
        function: a batch of inputs to its features, (batch, ...) to (batch, features).
        x: examples, (n, ...), at least one.
        path: of the file that the table is kept in.

    Raises:
        ValueError: if the features are not finite numbers in rows of one length.
        OSError: if there is no room on the disk.
    """
    width: Any = "features"
    with path.open("wb") as file:
        for rows in gen_batches(len(x), BATCH):
            features = np.asarray(function(x[rows]), dtype=np.float32)
            n = len(x[rows])
            if (
                features.ndim != 2
                or len(features) != n
                or width not in ("features", features.shape[1])
            ):
                raise ValueError(
                    f"the features of {n} examples must have shape ({n}, {width}), got "
                    f"{features.shape}"
                )
            width = features.shape[1]
            bad = n - int(np.isfinite(features).all(axis=1).sum())
            if bad:
                raise ValueError(
                    f"NaN or infinite features in {bad} of the examples {rows.start} to "
                    f"{rows.stop - 1}; check the inputs, and that the model's training did not "
                    f"diverge"
                )
            file.write(features.tobytes())
    return np.memmap(path, np.float32, "r", shape=(len(x), width))
