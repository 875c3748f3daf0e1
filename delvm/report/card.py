"""The card of a model, in Markdown."""

import re
from collections.abc import Mapping
from typing import Any

from delvm.report.facts import Table, column_table, comparison_table, data_facts, model_facts
from delvm.talk import shown

USE = """## Use

    delvm score {model} {files} -o scores.csv{more}
    delvm info {model}
    delvm export {model} -o saved_models/mine

In Python: `dv.load_detector(folder).is_anomaly({kind})`, or without this library's models
`dv.serving.load(folder / "serving")`. `serving/` is what TensorFlow Serving mounts, and
`report.html` has figures.

## What it does not promise

It knows the rows that it was trained on and nothing else. The rate of false alarms holds for new
rows that are drawn as those were; where machines, seasons or habits change, train it anew.
`delvm score` says when scores have drifted. A high score means unusual, and not bad.
"""


def card(summary: Mapping[str, Any]) -> str:
    """The card.

    Args:
        summary: what `delvm fit` knows of a model.
    """
    image = summary["data"].get("image")
    found = "images of this size" if image else "rows in tables with these columns"
    facts = {**data_facts(summary["data"]), **model_facts(summary)}
    parts = [
        "# Model card\n",
        f"Finds abnormal {found}.\n",
        *(f"- **{name}**: {_escaped(value)}" for name, value in facts.items()),
    ]
    if not image:
        parts += ["\n## Columns\n", _table(column_table(summary["data"]["columns"]))]
    if summary["comparison"]:
        parts += [
            "\n## Against simple methods\n",
            _table(comparison_table(summary["comparison"])),
        ]
    return "\n".join(
        [
            *parts,
            "",
            USE.format(
                model=summary["model"],
                files="new/" if image else "'new/*.csv'",
                more="" if image else " --explain 3",
                kind="images" if image else "table",
            ),
        ]
    )


def _table(table: Table) -> str:
    head, rows = table
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_escaped(shown(cell)) for cell in line)} |" for line in lines)


def _escaped(text: str) -> str:
    """Text in which Markdown and HTML see nothing of theirs."""
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", " ".join(text.split()))
