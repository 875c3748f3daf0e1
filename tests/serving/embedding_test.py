"""The C program of the documentation gives what Python gives."""

import functools

import pytest
from parity_checks.cases import ANOTHER, REASONS, REBUILT, SCORES, SET, Case, difference
from parity_checks.ways import InC

SLOW = "isolation forest"
KINDS = ["energy", "patches", "columns: all of these"]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if (missing := InC.missing()) is not None:
        pytest.skip(missing)
    return InC(tmp_path_factory.mktemp("c"))


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """A function that makes a case when it is first asked for."""
    folder = tmp_path_factory.mktemp("cases")
    return functools.cache(lambda kind: Case.of(kind, folder / kind.partition(":")[0]))


ASKED = {
    "energy": {SCORES, ANOTHER, SET, REASONS, REBUILT},
    "isolation forest": {SCORES, ANOTHER, SET},
    "patches": {SCORES, ANOTHER, SET, REASONS},
    "columns: all of these": {SCORES, ANOTHER, SET, REASONS},
}


@pytest.mark.parametrize("kind", [*KINDS, pytest.param(SLOW, marks=pytest.mark.slow)])
def test_all_that_can_be_asked(program, cases, kind):
    case = cases(kind)
    assert {*case.requests} == ASKED[kind]
    for request in case.requests.values():
        largest, same = difference(program(case, request), request.expected)
        assert largest < 1e-5, request.signature
        assert same, request.signature


@pytest.mark.parametrize(
    ("kind", "signature", "rows", "message"),
    [
        ("energy", "serving_default", "1\t2\t3\t4\t5\tx\n", "row 0: 'x' is no number"),
        ("energy", "serving_default", "1\t2\n", "row 0 has not 6 cells"),
        ("energy", "serving_default", "1\t2\t3\t4\t5\t6\t7\n", "row 0 has not 6 cells"),
        ("energy", "decide", "1\t2\t3\t4\t5\t6\n", "row 0 has not 7 cells"),
        ("energy", "decide", "1\t2\t3\t4\t5\t6\t\n", "a threshold is NaN or infinite"),
        ("energy", "serving_default", "", "there are no rows"),
        ("energy", "serving_default", "1\t2\t3\t4\t5\t\n", "x has NaN or infinite values"),
        ("energy", "serving_default", "1\n" * 5000, "more than 4096 lines"),
        ("energy", "table", "1\n", "has no signature table"),
        ("energy", "columns", "1\n", "has no signature columns"),
        ("columns: all of these", "table", "speed\tweight\n1\t2\n", "no input weight"),
    ],
)
def test_what_cannot_be_scored_is_refused(program, cases, kind, signature, rows, message):
    done = program.run([str(cases(kind).folder), signature], rows)
    assert done.returncode == 1
    assert message in done.stderr
    assert not done.stdout


def test_what_is_no_model_is_refused(program, tmp_path):
    done = program.run([str(tmp_path), "serving_default"], "1\n")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") or "error: " in done.stderr
    assert str(tmp_path) in done.stderr
