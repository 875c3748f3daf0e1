"""`delvm fit`: learn what is normal from a table, and write a model with a report."""

import argparse
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import delvm_tf as dv
from delvm.arguments import table_options
from delvm.comparison import compared
from delvm.folder import CARD, FIT, REPORT, SERVING
from delvm.progress import TrainingProgress
from delvm.protocol import Parts, parted
from delvm.reading import Given, read
from delvm.report.card import card
from delvm.report.facts import column_table, comparison_table, data_facts, model_facts
from delvm.report.page import page
from delvm.talk import Talk
from delvm_tf.catalog import Recipe, Recipes, default_recipe
from delvm_tf.detection import saving
from delvm_tf.schema import arrow
from delvm_tf.serving import model_card
from delvm_tf.serving.reasons import reasons
from delvm_tf.storage.ownership import make_folder
from delvm_tf.storage.paths import check_checkpoint_path, local_path

INTERRUPTED = "nothing was written, and {output} is as it was"
CONTAMINATION = 0.01
STRANGEST, REASONS = 10, 3  # rows in the report, and columns told of each


def run(args: argparse.Namespace, talk: Talk) -> dict[str, Any]:
    """Read, train, judge and write."""
    output = local_path(args.output, "--output")
    check_checkpoint_path(output)
    saving.refuse_foreign(output)
    make_folder(output.parent)
    recipe = _recipe(args.recipe)
    given = read(args.data[0], table_options(args), dict(args.kind))
    data = given.summary()
    _say(talk, data_facts(data))
    talk.table(*column_table(data["columns"]))
    talk.say()
    detector = _detector(recipe, args)
    parts = parted(given.abnormal, given.table.num_rows, detector.threshold == "best_f1", args.seed)
    warnings.filterwarnings("ignore", ".*constant over the training data")  # of places for text
    _note_useless(data["columns"], given.table, talk)
    started = time.perf_counter()
    with TrainingProgress(talk.errors) as progress:
        rows, labels = _shown(given, parts)
        detector.fit(given.table.take(rows), labels, callbacks=[progress.callback("training")])
    seconds = time.perf_counter() - started
    scores = _scores(detector, given.table)
    if refused := int(np.isnan(scores).sum()):
        talk.note(f"{refused:,} rows miss too many cells to be scored, and are left out of tests")
        parts = parts.without(np.isnan(scores))
    method = f"{recipe.title}, {detector.criterion_.replace('_', ' ')}"
    with talk.errors.status("comparing with simple methods"):
        comparison = _comparison(detector, given, parts, scores, method)
    summary: dict[str, Any] = {
        "model": str(output),
        "data": data,
        "training": {
            "method": method, "rows": len(parts.fit), "seed": args.seed,
            "threshold_rows": len(detector.normal_scores_), "seconds": round(seconds, 2),
        },
        "protocol": parts.text(detector.holdout),
        "threshold": {
            "value": detector.threshold_, "rule": detector.threshold_rule_,
            "contamination": detector.contamination,
        },
        "comparison": comparison,
        "above": int(np.sum(scores > detector.threshold_)),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": model_card.versions(),
    }  # fmt: skip
    _say(talk, model_facts(summary))
    if parts.tested:
        talk.table(*comparison_table(summary["comparison"]))
        talk.say()

    def beside(folder: Path) -> None:
        version = dv.export_saved_model(
            detector, folder / SERVING, about={FIT: summary}, explain=True
        )
        strangest = _strangest(dv.serving.load(version), given, parts, scores)
        shown = {**summary, "strangest": strangest}
        (folder / CARD).write_text(card(summary), encoding="utf-8")
        kinds = _kinds(detector, parts, scores)
        (folder / REPORT).write_text(page(shown, kinds), encoding="utf-8")
        summary["strangest"] = strangest

    saving.save(detector, output, beside)
    talk.say(f"written: {output}, with {CARD}, {REPORT} and {SERVING}/")
    talk.say(f"next:    delvm score {output} 'new/*.csv' -o scores.csv --explain {REASONS}")
    return summary


def _say(talk: Talk, facts: dict[str, str]) -> None:
    for name, text in facts.items():
        talk.say(f"{name + ':':15}{text}")
    talk.say()


def _note_useless(columns: list[dict[str, Any]], table: Any, talk: Talk) -> None:
    """Columns that tell nothing of what a row is."""
    for column in columns:
        name = column["name"]
        if column["distinct"] == 1:
            talk.note(f"the column {name!r} is the same in all rows, and tells nothing")
        elif column["kind"] == "number" and not column["missing"] and len(table) > 2:
            steps = np.diff(table.column(name).to_numpy())
            if (steps == steps[0]).all():
                talk.note(
                    f"the column {name!r} seems to number the rows; leave it out with --index, or "
                    f"all later rows will be abnormal"
                )


def _recipe(asked: str | None) -> Recipe:
    """The recipe of a file, `FILE` or `FILE:NAME`; the library's own without one."""
    if asked is None:
        return default_recipe()
    file, _, name = asked.partition(".toml:")
    recipes: Recipes[Recipe] = Recipes(f"{file}.toml" if name else asked)
    return recipes[name] if name else next(iter(recipes.values()))


def _detector(recipe: Recipe, args: argparse.Namespace) -> dv.AnomalyDetector:
    """What is to be trained."""
    by_rate = args.contamination is not None or args.recipe is None
    return dv.AnomalyDetector(
        None if args.recipe is None else recipe,
        threshold="contamination" if by_rate else recipe.detection.threshold,
        contamination=CONTAMINATION if args.contamination is None else args.contamination,
        random_state=args.seed,
        dates=args.dates,
    )


def _shown(given: Given, parts: Parts) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows for the detector to fit on, and their labels, +1 for normal and −1 for abnormal.

    It sees all abnormal rows, unless labels choose the threshold. They then decide nothing but
    which cells of a row may be missing, so that it can score them.
    """
    if given.abnormal is None:
        return parts.fit, None
    rows = parts.fit
    if not given.abnormal[rows].any():
        rows = np.sort([*rows, *np.flatnonzero(given.abnormal)])
    return rows, _labels(given.abnormal[rows])


def _labels(abnormal: np.ndarray) -> np.ndarray:
    return np.where(abnormal, -1, 1)


def _scores(detector: dv.AnomalyDetector, table: Any) -> np.ndarray:
    """Anomaly scores of all rows; NaN where too many cells are missing."""
    most = 0 if detector.schema_ is None else detector.schema_.most_missing
    missing = np.sum([arrow.missing(column) for column in table.columns], axis=0)
    scores = np.full(len(table), np.nan)
    scores[missing <= most] = detector.anomaly_score(table.filter(missing <= most))
    return scores


def _comparison(
    detector: dv.AnomalyDetector, given: Given, parts: Parts, scores: np.ndarray, method: str
) -> list[dict[str, Any]]:
    if not parts.tested or given.abnormal is None:
        return []
    fit, test = given.table.take(parts.fit), given.table.take(parts.test)
    labels = _labels(given.abnormal[parts.fit])
    return [
        *compared(
            detector, _numbers(detector, fit), labels, _numbers(detector, test),
            given.abnormal[parts.test].astype(int), scores[parts.test], method,
        )
    ]  # fmt: skip


def _numbers(detector: dv.AnomalyDetector, table: Any) -> np.ndarray:
    """The numbers that a model sees of a table."""
    if detector.schema_ is not None:
        return detector.schema_.encode(table)
    return np.column_stack([np.asarray(column, np.float64) for column in table.columns])


def _kinds(detector: dv.AnomalyDetector, parts: Parts, scores: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of rows that were not trained on, by what is known of these."""
    kinds = {"normal, they set the threshold": detector.normal_scores_}
    if parts.tested and parts.abnormal is not None:
        abnormal = parts.abnormal[parts.test]
        kinds["normal, test part"] = scores[parts.test][~abnormal]
        kinds["abnormal, test part"] = scores[parts.test][abnormal]
    return kinds


def _strangest(
    served: dv.serving.ServedModel, given: Given, parts: Parts, scores: np.ndarray
) -> list[dict[str, Any]]:
    """The rows with the highest scores, and the columns that raise these most."""
    order = np.argsort(-scores, kind="stable")[:STRANGEST]
    table = given.table.take(order)
    count = min(REASONS, len(table.column_names))
    told = {k: v.to_pylist() for k, v in reasons(served, table, count).items()}
    found = []
    for k, row in enumerate(map(int, order)):
        file, number = given.place(row)
        names = [told[f"reason_{j}"][k] for j in range(1, count + 1)]
        found.append({
            "file": file, "row": number, "score": float(scores[row]),
            "part": _part(parts, row),
            "reasons": [
                {
                    "column": name, "value": _cell(table[name][k].as_py()),
                    "contribution": told[f"contribution_{j}"][k],
                }
                for j, name in enumerate(names, 1)
                if name is not None and told[f"contribution_{j}"][k] > 0
            ],
        })  # fmt: skip
    return found


def _part(parts: Parts, row: int) -> str:
    part = "test" if np.isin(row, parts.test) else "training"
    if parts.abnormal is None:
        return part
    return f"{part}, {'abnormal' if parts.abnormal[row] else 'normal'}"


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "missing"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
