"""Pieces of sentences."""

import math

import pytest

from entviz.words.phrases import decimals, listed, number


def test_names_in_a_row():
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"


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
