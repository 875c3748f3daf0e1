"""`delvm export`: a model for servers, or as an ONNX file."""

import argparse
from pathlib import Path
from typing import Any

import delvm_tf as dv
from delvm.folder import card_of, existing, is_detector
from delvm.talk import Talk
from delvm_tf.detection import NotExplainedError
from delvm_tf.serving.signatures import DEFAULT, TABLE

INTERRUPTED = "nothing was written to {output}"


def run(args: argparse.Namespace, talk: Talk) -> dict[str, Any]:
    """Export, and say where."""
    model = existing(args.model)
    if not is_detector(model):
        raise FileNotFoundError(
            f"{model} is no detector; export takes a folder that delvm fit or detector.save wrote"
        )
    detector = dv.load_detector(model)
    if args.onnx:
        signature = DEFAULT if detector.schema_ is None else TABLE
        written = dv.export_onnx(detector, args.output, signature)
    else:
        written = _served(detector, model, args.output, talk)
    talk.say(f"written: {written}")
    return {"written": str(written)}


def _served(detector: Any, model: Path, output: Path, talk: Talk) -> Path:
    card = card_of(model)
    about = {} if card is None else card.about
    try:
        return dv.export_saved_model(detector, output, about=about, explain=True)
    except NotExplainedError as error:
        talk.note(f"it serves no explanations: {error}")
        return dv.export_saved_model(detector, output, about=about)
