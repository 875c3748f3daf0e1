"""`delvm info`: what a model is."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import delvm_tf as dv
from delvm.folder import FIT, card_of, existing, summary_of
from delvm.report.facts import (
    about_facts,
    column_table,
    comparison_table,
    data_facts,
    model_facts,
    rate_of,
    threshold_text,
)
from delvm.talk import Talk
from delvm_tf.detection import content
from delvm_tf.schema import Category, Schema
from delvm_tf.serving import ModelCard

INTERRUPTED = "nothing was changed"


def run(args: argparse.Namespace, talk: Talk) -> dict[str, Any]:
    """Say what is known without running the model."""
    model = existing(args.model)
    card = card_of(model)
    summary = summary_of(card)
    if summary is not None:
        value = dict(summary)
        talk.facts({**data_facts(summary["data"]), **model_facts(summary), **_others(card)})
        if summary["data"]["columns"]:
            talk.table(*column_table(summary["data"]["columns"]))
        if summary["comparison"]:
            talk.say()
            talk.table(*comparison_table(summary["comparison"]))
    else:
        value = _of_detector(model) if card is None else _of_card(card)
        talk.facts(_facts(value))
    files = _files(model)
    talk.say()
    talk.table(("file", "bytes"), [*files.items()])
    return {**value, "folder": str(model), "files": files}


def _others(card: ModelCard | None) -> dict[str, str]:
    """What is written about a model beside what `delvm fit` knows."""
    return {} if card is None else about_facts({k: v for k, v in card.about.items() if k != FIT})


def _of_card(card: ModelCard) -> dict[str, Any]:
    return {
        "columns": _columns(card.schema, card.columns),
        "shape": list(card.shape),
        "threshold": card.threshold,
        "threshold_rows": None if card.scores is None else card.scores.rows,
        "created": card.created,
        "about": card.about,
        "versions": card.versions,
    }


def _of_detector(model: Path) -> dict[str, Any]:
    detector = dv.load_detector(model)
    record = content.checked_record({path.name: path.read_bytes() for path in model.iterdir()})
    return {
        "columns": _columns(detector.schema_, getattr(detector, "feature_names_in_", None)),
        "threshold": {
            "value": detector.threshold_,
            "rule": detector.threshold_rule_,
            "contamination": detector.contamination,
            "rate": rate_of(detector),
            "criterion": detector.criterion_,
        },
        "threshold_rows": len(detector.normal_scores_),
        "versions": record["versions"],
    }


def _columns(schema: Schema | None, names: Any) -> list[dict[str, Any]] | None:
    if schema is not None:
        kinds = {True: "category", False: "number"}
        return [{"name": c.name, "kind": kinds[isinstance(c, Category)]} for c in schema.columns]
    return None if names is None else [{"name": str(n), "kind": "number"} for n in names]


def _facts(value: Mapping[str, Any]) -> dict[str, str]:
    columns = value["columns"]
    facts = {"columns": "not named"}
    if columns is not None:
        facts = {"columns": ", ".join(f"{c['name']} ({c['kind']})" for c in columns)}
    facts["threshold"] = "none: a model and no detector"
    if value["threshold"] is not None:
        facts["threshold"] = threshold_text(value["threshold"])
    if value["threshold_rows"]:
        facts["set on"] = f"{value['threshold_rows']:,} rows"
    if value.get("about"):
        facts |= about_facts(value["about"])
    if "created" in value:
        facts["made"] = value["created"]
    facts["versions"] = ", ".join(f"{name} {text}" for name, text in value["versions"].items())
    return facts


def _files(model: Path) -> dict[str, int]:
    paths = sorted(path for path in model.rglob("*") if path.is_file())
    return {path.relative_to(model).as_posix(): path.stat().st_size for path in paths}
