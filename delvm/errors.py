"""Errors that are told in a line, for they are of data, models, files or settings."""

import re

import tensorflow as tf

from delvm_tf.distribution.cluster import WorkerLost
from delvm_tf.distribution.workers import WorkerFailed
from delvm_tf.training.divergence import TrainingDiverged

EXPECTED = (
    ValueError, TypeError, OSError, ImportError, MemoryError, TrainingDiverged, WorkerFailed,
    WorkerLost, tf.errors.OpError,
)  # fmt: skip
LABELS = "write 0 for normal rows and 1 for abnormal ones"
OPTIONS = "label|columns|drop|index|header|separator|decimal|dates"


def message_of(error: BaseException) -> str:
    """What to tell of an error."""
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}" if str(error) else "not enough memory"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    if isinstance(error, tf.errors.OpError):
        line = error.message.partition("\n")[0]
        return re.sub(r"^\{\{.*?\}\} *| *\[Op:\w+\]$", "", line)
    return as_options(str(error)) or type(error).__name__


def as_options(text: str) -> str:
    """Advice that names arguments of Python, with the options of the command line instead."""
    text = re.sub(r" \(from a program: [^)]*\)", "", text)
    text = text.replace(LABELS, f"{LABELS}, or name those of normal rows with --normal")
    text = re.sub(r"\bkinds=\{'(.*?)': '(\w+)'\}", r"--kind '\1=\2'", text)
    if "the column " in text:
        text = re.sub(r"\bleave it out\b(?! with)", "leave it out with --drop", text)
    text = text.replace("header=True", "--header").replace("header=False", "--no-header")
    text = re.sub(rf"\b({OPTIONS})=(?=['\"\w(])", r"--\1 ", text)
    return re.sub(rf"\b({OPTIONS})=", r"--\1", text)
