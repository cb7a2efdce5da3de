"""Pieces of sentences."""

import math

import pytest

from entviz.words.phrases import counted, decimals, duration, listed, number, of_windows, shortened, some


def test_names_in_a_row():
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_a_long_row_is_cut():
    assert some(["a", "b", "c"], 3) == "a, b and c"
    assert some(["a", "b", "c", "d", "e"], 3) == "a, b, c and 2 more"


def test_a_text_is_cut_to_its_first_words_in_one_line():
    assert shortened("one\n two", 7) == "one two"
    assert shortened("one two three", 9) == "one two…"


def test_one_and_many():
    assert [counted(count, "window") for count in (0, 1, 1200)] == ["0 windows", "1 window", "1,200 windows"]
    assert of_windows(1, 128) == "1 window of 128 tokens"


@pytest.mark.parametrize(
    ("value", "places", "sign", "text"),
    [
        (-0.034, 2, False, "−0.03"),
        (-0.004, 2, False, "0.00"),
        (-0.004, 2, True, "+0.00"),
        (0.5, 3, True, "+0.500"),
        (-1234.5, 1, False, "−1234.5"),
        (math.nan, 2, False, "–"),
        (-math.inf, 2, False, "−∞"),
    ],
)
def test_decimals_have_a_real_minus_sign(value, places, sign, text):
    assert decimals(value, places, sign=sign) == text


def test_numbers_that_are_infinite():
    assert (number(math.inf), number(-math.inf, sign=True)) == ("∞", "−∞")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.3, "a few seconds"),
        (12, "about 10 seconds"),
        (44, "about 40 seconds"),
        (55, "about a minute"),
        (89, "about a minute"),
        (400, "about 7 minutes"),
        (3 * 3600 + 100, "about 3 hours"),
    ],
)
def test_a_time_is_said_no_more_exactly_than_it_is_known(seconds, said):
    assert duration(seconds) == said
