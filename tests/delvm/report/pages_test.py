"""Card and page show what is known, and nothing in a table can become markup."""

from html.parser import HTMLParser

import numpy as np
import pytest

from delvm.report.card import card
from delvm.report.page import page

EVIL = "<script>alert(1)</script>|[x](http://y)`"
FIGURES = {"auroc": 0.98765, "average_precision": 0.5, "f1": 0.4, "precision": 0.3, "recall": 0.2}


def summary(name="heat", tested=True):
    return {
        "model": "model",
        "data": {
            "files": [f"{name}.csv"], "rows": 1234, "left_out": [name], "label": name,
            "normal": 1200, "abnormal": 34,
            "columns": [
                {"name": name, "kind": "text", "missing": 7, "distinct": 2, "values": name}
            ],
        },
        "method": "DSM-DELVM, energy",
        "protocol": "trained on 960 rows",
        "threshold": {"value": 2.5, "rule": "contamination", "contamination": 0.01},
        "comparison": [{"method": "ours", **FIGURES}] if tested else [],
        "created": "2026-11-27T12:00:00+00:00",
        "versions": {"delvm_tf": "0.1.0"},
        "strangest": [{
            "file": f"{name}.csv", "row": 17, "part": "test", "score": 1e3,
            "reasons": [{"column": name, "value": name, "contribution": 12.0}],
        }],
    }  # fmt: skip


class Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        assert not {"src", "href"} & {name for name, _ in attributes}  # it needs nothing else

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize("tested", [True, False])
def test_the_page_needs_nothing_else(tested):
    text = page(summary(tested=tested), {"held out": np.array([1.0, 2.0, np.inf])})
    elements = Elements()
    elements.feed(text)
    words = " ".join(elements.text)
    assert "svg" in elements.tags
    for part in ("1,234 rows", "heat = heat (+12)", "which at most 1 %", "1 infinite scores"):
        assert part in words
    assert ("0.9877" in words) == tested


def test_cells_are_no_markup():
    elements = Elements()
    elements.feed(page(summary(EVIL), {EVIL: np.array([1.0, 2.0])}))
    assert "script" not in elements.tags
    assert EVIL in "".join(elements.text)
    lines = card(summary(EVIL)).splitlines()
    (row,) = [line for line in lines if line.startswith("| \\<script")]
    assert row.replace("\\|", "").count("|") == 5
    assert "](http" not in row.replace("\\]", "")


def test_the_card_tells_how_to_use_the_model():
    text = card(summary())
    for part in ("# Model card", "delvm score model", "| heat | text | 7 | heat |", "| ours |",
                 "- **threshold**: 2.5, which at most 1 % of new normal rows exceed"):  # fmt: skip
        assert part in text
