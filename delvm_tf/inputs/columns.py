"""Names of columns: where they are known, data are matched by name and not by position."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from delvm_tf.inputs.notices import warn

_known_names: ContextVar[tuple[str, ...] | None] = ContextVar("_known_names", default=None)


def names_of(x: Any) -> tuple[str, ...] | None:
    """Names of the columns of a data frame, a table or a stream of files; None if x has none.

    As in scikit-learn, labels that are no strings (the numbers that pandas gives by default) are
    not names.

    Raises:
        TypeError: if only some of the labels are strings.
        ValueError: if two columns have the same name.
    """
    labels = getattr(x, "feature_names_in_", None)  # of a stream
    if labels is None:
        labels = getattr(x, "column_names", getattr(x, "columns", None))
    if labels is None or isinstance(labels, str) or callable(labels):
        return None
    labels = list(labels)
    texts = [isinstance(label, str) for label in labels]
    if not any(texts):
        return None
    if not all(texts):
        others = sorted({type(label).__name__ for label in labels} - {"str"})
        raise TypeError(
            f"the names of the columns must all be strings, or none of them, got strings and "
            f"{', '.join(others)}; convert them: x.columns = x.columns.astype(str)"
        )
    if len(set(labels)) < len(labels):
        twice = sorted({label for label in labels if labels.count(label) > 1})
        raise ValueError(f"several columns have the same name: {', '.join(twice[:5])}; rename them")
    return tuple(labels)


def check_names(got: Sequence[str] | None, expected: Sequence[str] | None, owner: str) -> None:
    """Compare the names of columns with those of the training data.

    Warns where only one side has names, for then columns are matched by position.

    Args:
        got: of the data, or None.
        expected: of the training data, or None.
        owner: who expects them, for the message.

    Raises:
        ValueError: if columns are missing, unknown or in another order.
    """
    if got is None and expected is None:
        return
    if got is None:
        warn(
            f"x does not have feature names, but {owner} was fitted with feature names; its "
            f"columns are taken in the order of the training data"
        )
        return
    if expected is None:
        warn(
            f"x has feature names, but {owner} was fitted without feature names; its columns are "
            f"taken in the order in which they stand"
        )
        return
    if tuple(got) == tuple(expected):
        return
    lines = ["The feature names should match those that were passed during fit."]
    if unknown := [name for name in got if name not in expected]:
        lines += ["Feature names unseen at fit time:", *_some(unknown)]
    if missing := [name for name in expected if name not in got]:
        lines += ["Feature names seen at fit time, yet now missing:", *_some(missing)]
    if not unknown and not missing:
        lines += ["Feature names must be in the same order as they were in fit: x[names]."]
    raise ValueError("\n".join(lines) + "\n")


@contextmanager
def naming(names: Sequence[str] | None) -> Iterator[None]:
    """What messages of the block call the columns of data that have no names of their own.

    Such are the numbers that a table became.
    """
    before = _known_names.set(None if names is None else tuple(names))
    try:
        yield
    finally:
        _known_names.reset(before)


def called(places: Any, width: int, names: Sequence[str] | None = None) -> str:
    """The first few of some columns for messages: their names, or their numbers if they have none.

    Args:
        places: numbers of columns, from 0.
        width: number of all columns.
        names: of all columns, if they are known; else those of `naming`.
    """
    known = names or _known_names.get() or ()
    some = [int(place) for place in places[:5]]
    if len(known) != width:
        return str(some)
    return ", ".join(repr(known[place]) for place in some) + (", ..." if len(places) > 5 else "")


def listed(text: str, known: Collection[str]) -> list[str]:
    """The names that a text with commas between them means; none if they are not all known."""
    parts = [part.strip() for part in text.split(",")]
    parts = [part for part in parts if part]
    return parts if text not in known and "," in text and {*parts} <= {*known} else []


def _some(names: list[str]) -> list[str]:
    shown = [f"- {name}" for name in sorted(names)[:5]]
    return shown if len(names) <= 5 else [*shown, "- ..."]
