import pickle

import pytest

from delvm_tf.inputs.refusals import Refusal, Refusals, RefusedColumnsError

TWO = [
    Refusal("a", "the column 'a' is odd", ("mend it", "turn it")),
    Refusal("b{}", "the column 'b{}' is empty", ("mend it",)),
]


def test_one_column_is_told_in_a_line():
    assert str(RefusedColumnsError(TWO[:1])) == (
        "the column 'a' is odd; leave it out; or mend it; or turn it"
    )
    assert str(RefusedColumnsError(TWO[:1], None)) == "the column 'a' is odd; mend it; or turn it"
    assert str(RefusedColumnsError([Refusal("a", "no a")], None)) == "no a"


def test_several_are_told_in_a_line_each_and_the_advice_once():
    error = RefusedColumnsError([*TWO, Refusal("a", "told before")], "drop=['a', 'b{}']")
    assert str(error).splitlines() == [
        "2 columns cannot be used:",
        "  the column 'a' is odd",
        "  the column 'b{}' is empty",
        "mend it;",
        "or turn it;",
        "or leave them out with drop=['a', 'b{}']",
    ]
    assert error.columns == ["a", "b{}"]
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.refusals) == (str(error), error.refusals)


def test_columns_that_may_be_text_get_one_option():
    texts = [each._replace(maybe_text=True) for each in TWO]
    assert str(RefusedColumnsError(texts)).endswith(
        "or pass kinds={'a': 'text', 'b{}': 'text'} if they are text;\nor leave them out"
    )
    assert str(RefusedColumnsError(texts[1:], None)) == (
        "the column 'b{}' is empty; mend it; or pass kinds={'b{}': 'text'} if it is text"
    )


def test_of_very_many_the_names_are_told():
    error = RefusedColumnsError([Refusal(f"x{k}", f"x{k} is odd") for k in range(23)])
    lines = str(error).splitlines()
    assert len(lines) == 23
    assert lines[-2:] == ["  and 3 more: 'x20', 'x21', 'x22'", "leave them out"]


@pytest.mark.parametrize("kind", [ValueError, TypeError])
def test_all_that_is_noted_is_raised_as_one_error(kind):
    refused = Refusals()
    refused.check()
    for each in TWO:
        with refused.noted():
            raise RefusedColumnsError([each])
    with pytest.raises(KeyError), refused.noted():
        raise KeyError("other errors pass")
    with pytest.raises(kind, match="2 columns cannot be used"):
        refused.check()
