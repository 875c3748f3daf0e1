"""`delvm fit`: learn what is normal from a table or images, and write a model with a report."""

import argparse
import math
import re
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import delvm_tf as dv
from delvm.arguments import table_options
from delvm.folder import CARD, FIT, REPORT, SERVING
from delvm.images import FOLDER, Images, are_images, read_images
from delvm.judging import judged, scores_by_kind, scores_of
from delvm.protocol import Parts, parted
from delvm.reading import Given, read
from delvm.report.card import card
from delvm.report.facts import column_table, comparison_table, data_facts, model_facts, rate_of
from delvm.report.page import page
from delvm.strangest import REASONS, strangest_rows
from delvm.talk import Talk
from delvm.training import detector_of, method_of, recipe_of, train
from delvm_tf.detection import saving, table_rows
from delvm_tf.serving import model_card
from delvm_tf.storage.ownership import made_folder
from delvm_tf.storage.paths import check_checkpoint_path, local_path

# Names of columns that may be labels; without --label they are features, as all others are.
LABELS = re.compile(
    r"label|target|class|anomal|abnormal|outlier|fraud|fault|fail|defe[ck]t|bad", re.I
)
INTERRUPTED = "nothing was written, and {output} is as it was"


def run(args: argparse.Namespace, talk: Talk) -> dict[str, Any]:
    """Read, train, judge and write."""
    output = local_path(args.output, "--output")
    check_checkpoint_path(output)
    saving.refuse_foreign(output)
    with made_folder(output.parent):
        return _fitted(output, args, talk)


def _fitted(output: Path, args: argparse.Namespace, talk: Talk) -> dict[str, Any]:
    recipe = recipe_of(args.recipe)
    arrays_only = recipe is not None and recipe.arrays_only
    most = math.inf if arrays_only else table_rows.SMALL
    options = table_options(args)
    given: Given | Images
    if are_images(args.data[0]):
        given = read_images(args.data[0], options, args.kind, args.normal)
    else:
        given = read(args.data[0], options, dict(args.kind), most, args.dates, args.normal)
    data = given.summary()
    talk.facts(data_facts(data))
    if data["columns"]:
        talk.table(*column_table(data["columns"]))
        talk.say()
    warnings.filterwarnings("ignore", ".*constant over the training data")  # of places for text
    if isinstance(given, Given):
        _note_doubtful(data["columns"], given, talk)
    elif given.label is None and len(folders := sorted({f.parent.name for f in given.files})) > 1:
        talk.note(
            f"images of all folders are taken as normal; if some are not, name those that are: "
            f"--label {FOLDER} --normal {folders[0]}"
        )
    detector = detector_of(recipe, args)
    parts = parted(given.abnormal, given.rows, detector.threshold == "best_f1", args.seed)
    train(detector, given, parts, talk)
    with talk.errors.status("scoring"):
        scores = scores_of(detector, given)
    if refused := int(np.isnan(scores).sum()):
        talk.note(f"{refused:,} rows miss too many cells to be scored, and are left out of tests")
        parts = parts.without(np.isnan(scores))
    with talk.errors.status("comparing with simple methods"):
        comparison = judged(detector, given, parts, scores, method_of(recipe, given))
    summary = {
        "model": str(output),
        "data": data,
        **_summary(detector, parts, args.seed),
        "method": method_of(recipe, given),
        "comparison": comparison,
        "above": int(np.sum(scores > detector.threshold_)),
    }
    talk.facts(model_facts(summary))
    if comparison:
        talk.table(*comparison_table(comparison))
        talk.say()
    strangest = _write(output, detector, summary, given, parts, scores)
    talk.say(f"written: {output}, with {CARD}, {REPORT} and {SERVING}/")
    files, more = (
        ("new/", "") if isinstance(given, Images) else ("'new/*.csv'", f" --explain {REASONS}")
    )
    talk.say(f"next:    delvm score {output} {files} -o scores.csv{more}")
    return {**summary, "strangest": strangest}


def _summary(detector: dv.AnomalyDetector, parts: Parts, seed: int) -> dict[str, Any]:
    return {
        "protocol": parts.text(len(detector.normal_scores_)),
        "training": {
            "rows": len(parts.fit),
            "threshold_rows": len(detector.normal_scores_),
            "seed": seed,
        },
        "threshold": {
            "value": detector.threshold_,
            "rule": detector.threshold_rule_,
            "contamination": detector.contamination,
            "rate": rate_of(detector),
        },
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": model_card.versions(),
    }


def _write(
    output: Path, detector: dv.AnomalyDetector, summary: dict[str, Any], given: Given | Images,
    parts: Parts, scores: np.ndarray,
) -> list[dict[str, Any]]:  # fmt: skip
    """Write all of the folder at once; the strangest rows, which the report shows."""
    strangest: list[dict[str, Any]] = []

    def beside(folder: Path) -> None:
        # The card of the served model goes to servers, and holds no rows.
        version = dv.export_saved_model(
            detector, folder / SERVING, about={FIT: summary}, explain=True,
            white=given.white if isinstance(given, Images) else None,
        )  # fmt: skip
        strangest.extend(strangest_rows(dv.serving.load(version), given, parts, scores))
        report = page({**summary, "strangest": strangest}, scores_by_kind(detector, parts, scores))
        (folder / CARD).write_text(card(summary), encoding="utf-8")
        (folder / REPORT).write_text(report, encoding="utf-8")

    saving.save(detector, output, beside)
    return strangest


def _note_doubtful(columns: list[dict[str, Any]], given: Given, talk: Talk) -> None:
    """Columns that tell nothing of what a row is, or what should not be known."""
    which = "all" if given.in_memory else f"{len(given.sampled):,} random"
    for column in columns:
        name = column["name"]
        if column["distinct"] == 1 and not column["missing"]:
            talk.note(f"the column {name!r} is the same in {which} rows, and tells nothing")
        elif column["distinct"] == 2 and LABELS.search(name):
            talk.note(
                f"the column {name!r} is taken for a feature; if it says which rows are abnormal, "
                f"give --label {name}"
            )
        elif column["kind"] == "number" and not column["missing"] and given.rows > 2:
            steps = np.diff(given.sample.column(name).to_numpy()) / np.diff(given.sampled)
            if (steps == steps[0]).all():
                talk.note(
                    f"the column {name!r} seems to number the rows; leave it out with --index, or "
                    f"all later rows will be abnormal"
                )
