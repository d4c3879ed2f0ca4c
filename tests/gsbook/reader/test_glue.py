import pytest

from gsbook.reader.glue import glue, say


@pytest.mark.parametrize("name", ["unheard-of", "two words", "a.dot", ""])
def test_a_result_that_is_not_there_is_named(name):
    with pytest.raises(KeyError, match=f"no result {name!r} yet"):
        say(f"It is {{{{{name}}}}} or {{{{{name}:.2f}}}}.")


def test_a_result_in_its_format():
    glue("a-number", 0.126)
    assert str(say("{{a-number}} is about {{a-number:.2f}}, in {a set}")) == (
        "0.126 is about 0.13, in {a set}"
    )
