"""Pieces of sentences, and numbers as they stand in them: with a real minus sign."""

from __future__ import annotations

import math
from collections.abc import Sequence


def listed(names: Sequence[str]) -> str:
    """Names as they stand in a sentence: "bucket, knn and renyi"; empty where there are none."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def decimals(value: float, places: int, *, sign: bool = False) -> str:
    """A value with so many decimals, a real minus sign, and a plus if asked for; "–" where it is not a number.

    What rounds to 0 has no minus.
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "−∞" if value < 0 else "∞"
    return _signed(f"{abs(value):.{places}f}", value < 0, sign)


def number(value: float, *, sign: bool = False) -> str:
    """A value for the screen with about four significant digits, a real minus sign, and a plus if asked for."""
    size = abs(value)
    if math.isinf(size):
        text = "∞"
    elif size >= 1000:
        text = f"{size:,.0f}"
    elif size >= 100:
        text = f"{size:.1f}"
    elif size >= 1:
        text = f"{size:.2f}"
    else:
        text = f"{size:.4f}"
    return _signed(text, value < 0, sign)


def _signed(size: str, negative: bool, sign: bool) -> str:
    if negative and size.strip("0.,"):
        return f"−{size}"
    return f"+{size}" if sign else size
