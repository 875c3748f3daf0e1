"""Errors that are told in a line, for they are of data, models, files or settings."""

import ast
import re
import shlex

import tensorflow as tf

from delvm_tf.distribution.cluster import WorkerLost
from delvm_tf.distribution.workers import WorkerFailed
from delvm_tf.training.divergence import TrainingDiverged

EXPECTED = (
    ValueError, TypeError, OSError, ImportError, MemoryError, TrainingDiverged, WorkerFailed,
    WorkerLost, tf.errors.OpError,
)  # fmt: skip
LABELS = "write 0 for normal rows and 1 for abnormal ones"
_NAME = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_NAMES = rf"\[(?:{_NAME}|-?\d+)(?:, (?:{_NAME}|-?\d+))*\]"
_KINDS = rf"\{{{_NAME}: '\w+'(?:, {_NAME}: '\w+')*\}}"
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
    text = re.sub(rf"\b(drop|columns|index)=({_NAMES})", _several, text)
    if "the column " in text:
        text = re.sub(r"\bleave it out\b(?! with)", "leave it out with --drop", text)
    text = re.sub(rf"\bkinds=({_KINDS})", _kinds, text)
    text = text.replace("header=True", "--header").replace("header=False", "--no-header")
    text = re.sub(rf"(?<!-)\b({OPTIONS})=(?=['\"\w(])", r"--\1 ", text)
    return re.sub(rf"(?<!-)\b({OPTIONS})=", r"--\1", text)


def _several(found: re.Match[str]) -> str:
    """An option of several names, as a shell takes it."""
    option, names = found[1], ast.literal_eval(found[2])
    names = [name if isinstance(name, str) else f"#{name}" for name in names]
    plain = [name for name in names if not name.startswith("-")]
    dashed = [f"--{option}={shlex.quote(name)}" for name in names if name.startswith("-")]
    return " ".join([*([f"--{option} {shlex.join(plain)}"] if plain else []), *dashed])


def _kinds(found: re.Match[str]) -> str:
    kinds = ast.literal_eval(found[1])
    return f"--kind {shlex.join(f'{column}={kind}' for column, kind in kinds.items())}"
