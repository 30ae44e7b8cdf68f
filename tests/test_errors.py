"""Messages of any input can be printed: they are short, of one or two lines, and without control characters."""

import pytest

from tf_bigan.errors import InputError, NoData, close_to, did_you_mean, short, shown, whole_number


def test_a_usual_message_stays_as_it_is():
    text = "weights of 'a model' (the encoder's) don't fit: 3, not 4.\nGive the authors' weights to 'a run'"
    assert str(InputError(text)) == str(NoData(text)) == text


@pytest.mark.parametrize("given", ["x" * 5000, "ä" * 300, "/tmp/" + "y" * 100_000], ids=["x", "ä", "path"])
def test_no_more_than_200_characters_of_a_word_are_repeated(given):
    text = str(InputError(f"there is no {given}; give another"))
    assert text.startswith(f"there is no {given[:100]}") and text.endswith("; give another")
    assert len(text) < 260 and " ... " in text


@pytest.mark.parametrize(
    "given", ["a b " * 2000, 'it\'s "it" ' * 500, "\\' " * 900], ids=["spaces", "quotes", "escapes"]
)
def test_no_more_than_200_characters_of_a_quoted_text_are_repeated(given):
    text = str(InputError(f"unknown name {given!r}. Did you mean 'mnist'? Known: 'mnist', 'digits'."))
    assert text.startswith("unknown name ") and text.endswith("Did you mean 'mnist'? Known: 'mnist', 'digits'.")
    assert len(text) < 280


def test_no_message_is_longer_than_a_thousand_characters():
    assert len(str(InputError("a b " * 100_000))) == 1000


def test_a_message_has_two_lines_and_no_control_characters():
    assert str(InputError("a\nb\nc\nd")) == "a\nb c d"
    assert str(InputError("a \x1b[31m\x00\r\t\udcff\u202e b")) == r"a \x1b[31m\x00\r\t\xff\u202e b"


def test_short_texts_are_whole_and_long_ones_lose_their_middle():
    assert short("x" * 200) == "x" * 200
    assert short("a" * 150 + "b" * 150) == "a" * 100 + " ... " + "b" * 95


def test_values_that_cannot_be_printed_are_named_by_their_type():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert shown(deep) == "list" and shown(10**5000) == "int" and shown("a\nb") == "'a\\nb'"


def test_words_without_end_are_compared_with_no_name():
    assert close_to("mnis", ["mnist", "digits"]) == ["mnist"] and close_to("mnist" * 1000, ["mnist"]) == []
    assert did_you_mean("x" * 10**6, ["mnist"]) == " Known: mnist."


def test_whole_numbers_have_limits():
    assert whole_number(3, "n", 0, 3) == 3
    with pytest.raises(InputError, match="n must be at most 3, found 4"):
        whole_number(4, "n", 0, 3)
    with pytest.raises(InputError, match="n must be at most 3, found int"):
        whole_number(10**5000, "n", 0, 3)
