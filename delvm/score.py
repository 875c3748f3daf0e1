"""`delvm score`: the rows of files of any size, with a model."""

import argparse
from typing import Any

from delvm.arguments import table_options
from delvm.folder import served_folder, summary_of
from delvm.progress import FilesProgress
from delvm.talk import Talk
from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams import TableOptions
from delvm_tf.datasets.streams.stream import TABLES, files_of
from delvm_tf.serving import ModelCard, ServedModel
from delvm_tf.serving.scoring import Summary, score_files

INTERRUPTED = "the same command goes on after the last finished part"
DRIFT = {
    "stable": "stable", "shifted": "shifted", "drifted": "drifted, so that thresholds may not hold",
    "too few": "too few rows to tell",
}  # fmt: skip


def run(args: argparse.Namespace, talk: Talk) -> dict[str, Any]:
    """Score, with a bar of progress."""
    model = served_folder(args.model, args.version)
    _, reader = files_of(args.data[0])
    served = ServedModel(model)
    usual = _usual_reading(served.card) if reader in TABLES else {}
    with FilesProgress(talk.errors) as progress:
        try:
            summary = score_files(
                served, args.data[0], args.output, args.batch_size, args.features,
                args.skip_damaged, progress.tell, table_options(args, **usual), args.explain,
                args.p_values, args.threshold,
            )  # fmt: skip
        except ContentsError as error:
            raise ContentsError(f"{error}{_remembered(args, usual)}") from error
    for note in summary.notes:
        talk.note(note)
    for reason in summary.damaged.values():
        talk.note(f"damaged: {reason}")
    return _told(summary, args, talk)


def _usual_reading(card: ModelCard) -> dict[str, Any]:
    """How tables were written that the model was fitted on, as far as `fit` knows."""
    known = summary_of(card)
    return {} if known is None else known["data"]["reading"]


def _remembered(args: argparse.Namespace, usual: dict[str, Any]) -> str:
    """What was not given and is not usual, for messages."""
    plain = TableOptions()
    options = [
        f"{name}={usual[name]!r}" for name in ("separator", "decimal")
        if getattr(args, name) is None and name in usual and usual[name] != getattr(plain, name)
    ]  # fmt: skip
    return f"; the files are read with {' and '.join(options)}, as at fit" if options else ""


def _told(summary: Summary, args: argparse.Namespace, talk: Talk) -> dict[str, Any]:
    value: dict[str, Any] = {
        "written": str(args.output), "rows": summary.rows, "abnormal": summary.abnormal,
        "damaged": summary.damaged, "drift": None,
    }  # fmt: skip
    talk.say(f"{summary.rows:,} rows: {args.output}")
    if summary.abnormal is not None:
        talk.say(f"{summary.abnormal:,} of them abnormal ({summary.abnormal / summary.rows:.1%})")
    if summary.drift is not None:
        index, verdict = summary.drift.index, summary.drift.verdict
        value["drift"] = {"index": index, "verdict": verdict}
        talk.say(
            f"scores against those of training: {DRIFT[verdict]} "
            f"(population stability index {index:.3f})"
        )
    return value
