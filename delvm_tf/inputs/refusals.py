"""Columns that cannot be used: all of a table are told at once, with one piece of advice."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

SHOWN = 20  # columns whose reasons are told
CORRECT = "correct such cells, empty them where the value is not known, or remove their rows"


class Refusal(NamedTuple):
    """Why a column cannot be used.

    Attributes:
        column: its name.
        reason: a sentence that names it.
        remedies: what may help, other than leaving it out; the same for all columns that it helps.
        maybe_text: whether it can be used if it is said to hold text.
    """

    column: str
    reason: str
    remedies: tuple[str, ...] = ()
    maybe_text: bool = False


class RefusedColumnsError(ValueError, TypeError):
    """Columns that cannot be used, for what their cells are or for their type.

    Args:
        refusals: of one column or more, each told once.
        option: leaves them out, such as `drop=['a']`; "" if none is known, and None if they must
            not be left out.

    Attributes:
        refusals: why.
    """

    def __init__(self, refusals: Iterable[Refusal], option: str | None = ""):
        found: dict[str, Refusal] = {}
        for each in refusals:
            found.setdefault(each.column, each)
        self.refusals = tuple(found.values())
        self.option = option
        super().__init__(self.refusals, option)

    @property
    def columns(self) -> list[str]:
        """Their names."""
        return [each.column for each in self.refusals]

    def __str__(self) -> str:
        one = len(self.refusals) == 1
        by = f" with {self.option}" if self.option else ""
        ways = [] if self.option is None else [f"leave {'it' if one else 'them'} out{by}"]
        ways += dict.fromkeys(way for each in self.refusals for way in each.remedies)
        if texts := {each.column: "text" for each in self.refusals if each.maybe_text}:
            ways.append(
                f"pass kinds={texts!r} if {'it is' if len(texts) == 1 else 'they are'} text"
            )
        if one:
            return "; ".join(filter(None, [self.refusals[0].reason, "; or ".join(ways)]))
        ways = [*ways[1:], ways[0]] if self.option is not None else ways  # not all at once first
        lines = [f"{len(self.refusals)} columns cannot be used:"]
        lines += [f"  {each.reason}" for each in self.refusals[:SHOWN]]
        if (more := len(self.refusals) - SHOWN) > 0:
            lines.append(f"  and {more} more: {', '.join(map(repr, self.columns[SHOWN:]))}")
        return "\n".join([*lines, *([";\nor ".join(ways)] if ways else [])])


class Refusals(dict[str, Refusal]):
    """Those that are found as columns are looked at, by the names of the columns."""

    @contextmanager
    def noted(self) -> Iterator[None]:
        """What is refused in the block is noted, and the block left."""
        try:
            yield
        except RefusedColumnsError as error:
            self.note(error.refusals)

    def note(self, refusals: Sequence[Refusal]) -> None:
        """Note more; of each column the first one counts."""
        for each in refusals:
            self.setdefault(each.column, each)

    def check(self, option: str | None = "") -> None:
        """Raise an error of all, if there is one; see `RefusedColumnsError`."""
        if self:
            raise RefusedColumnsError(self.values(), option)
