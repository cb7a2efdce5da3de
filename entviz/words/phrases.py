"""Pieces of sentences, and numbers as they stand in them: with a real minus sign.

counted(1, "window"), counted(4, "window")           # ("1 window", "4 windows")
some(["attn.1", "attn.2", "mlp.3", "mlp.4"], 3)      # "attn.1, attn.2, mlp.3 and 1 more"
decimals(-0.5, 2)                                    # "−0.50"
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def listed(names: Sequence[str]) -> str:
    """Names as a list in a sentence: "bucket, knn and renyi"; empty if there are none."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def some(names: Sequence[str], most: int) -> str:
    """The first ``most`` names as a list in a sentence, and the number of the rest: "bucket, knn and 2 more"."""
    rest = len(names) - most
    return listed([*names[:most], f"{rest} more"] if rest > 0 else names)


def counted(count: int, noun: str) -> str:
    """A count with a noun whose plural ends in s: "1 window", "4 windows"."""
    return f"{count:,} {noun if count == 1 else f'{noun}s'}"


def of_windows(count: int, length: int) -> str:
    """An amount of text: "4 windows of 128 tokens"."""
    return f"{counted(count, 'window')} of {length} tokens"


def duration(seconds: float) -> str:
    """A time that is only roughly known, no more exact than it is: "about 20 seconds", "about 3 hours"."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 50:
        return f"about {round(seconds, -1):.0f} seconds"
    minutes = max(1, round(seconds / 60))
    if minutes < 90:
        return "about a minute" if minutes == 1 else f"about {minutes} minutes"
    return f"about {round(minutes / 60)} hours"


def shortened(text: str, most: int = 80) -> str:
    """A text's first words in one line."""
    words = " ".join(text.split())
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"


def decimals(value: float, places: int, *, sign: bool = False) -> str:
    """A value with ``places`` decimals, a real minus sign, and a plus sign with ``sign``; "–" for NaN.

    A value that rounds to 0 has no minus sign.
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "−∞" if value < 0 else "∞"
    return _signed(f"{abs(value):.{places}f}", value < 0, sign)


def number(value: float, *, sign: bool = False) -> str:
    """A value for the screen with about four significant digits, a real minus sign, and a plus sign with ``sign``."""
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
