"""Runs signatures in a pipeline of Apache Beam, on its local runner.

A program of its own, for Beam has an environment of its own. Its argument is as that of `bare.py`,
with the rows as JSON, arrays or cells by the names of columns, and a threshold or none.
"""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that

from delvm_tf.serving.beam import Score
from delvm_tf.serving.signatures import DECIDE, DECIDE_TABLE, DEFAULT, TABLE

DECIDING = {DECIDE: DEFAULT, DECIDE_TABLE: TABLE}


def score(folder: str, signature: str, asked: dict[str, Any], wanted: str) -> None:
    """Write the outputs of all rows."""
    transform = Score(
        folder, signature=DECIDING.get(signature, signature), threshold=asked["threshold"]
    )

    def keep(pairs: Any) -> None:
        found = sorted(pairs, key=lambda pair: pair[0])
        np.savez(wanted, **{name: [o[name] for _, o in found] for name in found[0][1]})

    with TestPipeline(runner="FnApiRunner") as pipeline:
        pairs = pipeline | beam.Create(list(enumerate(asked["rows"])))
        assert_that(pairs | transform, keep)


def dated(value: dict[str, Any]) -> Any:
    """Dates in place of what stands for them in JSON."""
    return datetime.fromisoformat(value["date"]) if [*value] == ["date"] else value


for _, folder, signature, given, wanted in json.loads(sys.argv[1]):
    score(folder, signature, json.loads(Path(given).read_text(), object_hook=dated), wanted)
