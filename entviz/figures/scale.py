"""Axes that stay readable: where to cut one that a few long bars would flatten, and round numbers to mark it with.

::

    cut_limits(np.array([1.0, 2.0, 1.5, ..., 573.0]))     # (-2.0, 2.0): the long bar runs past the axis
    cut_ends(np.array([-350.0, 1225.0, ..., 2750.0]))     # (1225.0, 2750.0): the first point lies past the axis
    marks(860.0, 1490.0, 4)                               # [Mark(1000.0, "1,000"), Mark(1200.0, "1,200"), ...]
"""

from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Final

import numpy as np

CUT_RATIO: Final = (
    1.5  # a bar this many times the next longest one hides the rest, so the axis is cut below it
)
CUT_SHARE: Final = 0.1  # at most this share of the bars may run past a cut axis


@dataclass(frozen=True)
class Mark:
    """A mark of an axis: where it is, and what is written there."""

    at: float
    text: str


def cut_limits(values: np.ndarray) -> tuple[float, float]:
    """Where to cut an axis below and above, so that a few long bars do not flatten the rest; infinite: no cut.

    Args:
        values: the lengths of the bars with their sign, shape (bars,).
    """
    sizes = np.sort(np.abs(values))[::-1]
    limit = np.inf
    for position in range(min(int(CUT_SHARE * len(sizes)), len(sizes) - 1)):
        if sizes[position] > CUT_RATIO * sizes[position + 1] > 0:
            limit = float(sizes[position + 1])
    return -limit, limit


def cut_ends(values: np.ndarray) -> tuple[float, float]:
    """The ends of a curve's axis, without a few far points that would flatten the rest; else its lowest and highest.

    Args:
        values: the points of the curve, shape (points,).
    """
    ordered = np.sort(values)
    most = int(CUT_SHARE * len(ordered))
    low, high = float(ordered[0]), float(ordered[-1])
    for position in range(1, most + 1):
        if high - ordered[position - 1] > CUT_RATIO * (high - ordered[position]) > 0:
            low = float(ordered[position])
    for position in range(1, most + 1):
        if ordered[-position] - low > CUT_RATIO * (ordered[-position - 1] - low) > 0:
            high = float(ordered[-position - 1])
    return low, high


def marks(low: float, high: float, most: int) -> list[Mark]:
    """At most ``most`` + 1 round numbers from ``low`` to ``high``: multiples of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [Mark(low, _written(low, 2))]
    rough = (high - low) / most
    power = 10.0 ** floor(log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough * (1 - 1e-9))
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    places = max(0, -floor(log10(step) + 1e-9))
    return [Mark(count * step, _written(count * step, places)) for count in range(first, last + 1)]


def _written(value: float, places: int) -> str:
    text = f"{abs(value):,.{places}f}"
    return f"−{text}" if value < 0 and text.strip("0.,") else text
