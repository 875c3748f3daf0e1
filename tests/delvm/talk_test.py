import json
import warnings

import numpy as np

from delvm.talk import Talk, plain, shown


def test_results_and_notes_go_their_ways(capsys):
    with Talk() as talk:
        talk.say("a [bold] result")
        talk.table(("name", "figure"), [("[red]", 0.123456), ("b", 12.0)])
        warnings.warn("pass separator=';'", UserWarning, stacklevel=1)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        talk.note("once")
        talk.note("once")
        talk.result({"a": 1})
    said = capsys.readouterr()
    assert "a [bold] result\n" in said.out
    assert "[red]  0.1235" in said.out
    assert said.err == "note: pass --separator ';'\nnote: once\n"


def test_quiet_says_nothing_and_json_one_object(capsys):
    for talk in (Talk(quiet=True), Talk(quiet=True, as_json=True)):
        talk.say("text")
        talk.note("a note")
        talk.result({"x": np.float32(2), "y": [np.inf, np.int64(3)], "z": np.arange(2)})
    said = capsys.readouterr()
    assert said.err == ""
    assert json.loads(said.out) == {"x": 2.0, "y": [None, 3], "z": [0, 1], "notes": ["a note"]}
    assert said.out.count("\n") == 1


def test_cells():
    assert [shown(cell) for cell in (1234567, 0.00012345, True, "a")] == [
        "1,234,567", "0.0001234", "True", "a",
    ]  # fmt: skip
    assert plain({1: float("nan")}) == {"1": None}
