"""The report: one page of HTML that needs nothing else."""

import html
from collections.abc import Mapping
from typing import Any

import numpy as np

from delvm.report.facts import (
    Table,
    column_table,
    comparison_table,
    data_facts,
    model_facts,
    strangest_table,
)
from delvm.report.histogram import histogram
from delvm.talk import shown

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em;
       color: #222 }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em }
table { border-collapse: collapse; width: 100% } svg text { font-size: 12px; fill: #444 }
td, th { padding: .25em .6em; border-bottom: 1px solid #ddd; text-align: left;
         vertical-align: top; overflow-wrap: anywhere }
td.number { text-align: right; font-variant-numeric: tabular-nums }
p.small { color: #666; font-size: .9em }
"""
REASONS = (
    "The numbers in parentheses say how much a column adds to the score, above that of a typical "
    "row. Rows are counted from 0, without header and blank lines. Scores of rows that were "
    "trained on are a little too low."
)
IMAGE_REASONS = (
    "The ninths of an image that raise its score most, with the mean value of their pixels; the "
    "numbers in parentheses say how much they add to the score, above that of the mean image. "
    "Scores of images that were trained on are a little too low."
)


def page(summary: Mapping[str, Any], scores: Mapping[str, np.ndarray]) -> str:
    """The page.

    Args:
        summary: what `delvm fit` knows of a model.
        scores: anomaly scores by the kind of row, for the histogram; see `histogram`.
    """
    title = f"What is normal in {', '.join(summary['data']['files'][:3])}"
    image = summary["data"].get("image")
    facts = {**data_facts(summary["data"]), **model_facts(summary)}
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        _table(((), list(facts.items()))),
        "<h2>Anomaly scores of rows that were not trained on</h2>",
        histogram(scores, summary["threshold"]["value"]),
        f"<p class=small>Shares of the rows of each kind. {_beyond(scores)}The axis is even in "
        f"the middle and logarithmic far off.</p>",
    ]
    if summary["comparison"]:
        parts += [
            "<h2>Against simple methods, on the test part</h2>",
            _table(comparison_table(summary["comparison"])),
            f"<p class=small>{html.escape(summary['protocol'])}</p>",
        ]
    parts += [
        "<h2>The strangest rows</h2>", _table(strangest_table(summary["strangest"])),
        f"<p class=small>{IMAGE_REASONS if image else REASONS}</p>",
    ]  # fmt: skip
    if not image:
        parts += ["<h2>Columns</h2>", _table(column_table(summary["data"]["columns"]))]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body>\n{chr(10).join(parts)}\n</body></html>\n"
    )


def _beyond(scores: Mapping[str, np.ndarray]) -> str:
    count = sum(int(np.sum(~np.isfinite(values))) for values in scores.values())
    return f"{count:,} infinite scores are not drawn. " if count else ""


def _table(table: Table) -> str:
    head, rows = table
    titles = "".join(f"<th>{html.escape(title)}</th>" for title in head)
    lines = ["".join(_cell(cell) for cell in row) for row in rows]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table>{f'<tr>{titles}</tr>' if head else ''}\n{body}\n</table>"


def _cell(cell: Any) -> str:
    kind = " class=number" if isinstance(cell, int | float) else ""
    return f"<td{kind}>{html.escape(shown(cell))}</td>"
