"""Checks on the options of estimators, each with a sentence for who gave a bad one."""

from __future__ import annotations

import math

from entviz.errors import OptionError


def whole_number(name: str, value: object, lowest: int, highest: int) -> None:
    """Raise OptionError unless the value is a whole number from lowest to highest."""
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise OptionError(f"{name} must be a whole number from {lowest} to {highest}, not {value!r}.")


def positive_number(name: str, value: object, highest: float) -> None:
    """Raise OptionError unless the value is a number above 0 and at most highest."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not 0 < number <= highest:  # which nothing is true of for NaN
        raise OptionError(f"{name} must be a number above 0 and at most {highest:g}, not {value!r}.")
