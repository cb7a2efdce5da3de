"""A confidence interval for a mean difference of pairs, by Student's t.

difference = paired_difference(losses_a, losses_b)
difference.mean, difference.low, difference.high, difference.clear
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Difference:
    """The mean of a - b over pairs, and the interval that holds it with the confidence asked for.

    The interval is infinite for a single pair, which says nothing about chance.
    """

    mean: float
    low: float
    high: float
    pairs: int

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return not self.low <= 0 <= self.high


def paired_difference(a: Sequence[float], b: Sequence[float], confidence: float = 0.95) -> Difference:
    """The mean of ``a`` - ``b`` with its interval. Pairs, here windows of a text, count as independent."""
    differences = np.subtract(a, b)
    mean, pairs = float(differences.mean()), differences.size
    if pairs < 2:
        return Difference(mean, -math.inf, math.inf, pairs)
    reach = students_t(0.5 + confidence / 2, pairs - 1) * float(differences.std(ddof=1)) / math.sqrt(pairs)
    return Difference(mean, mean - reach, mean + reach, pairs)


def students_t(probability: float, degrees: int) -> float:
    """The quantile of Student's t distribution; ``probability`` from 0.5 to 1, exclusive of 1.

    Read off its distribution function, which for t = sqrt(degrees) tan(u) is an integral of cos(u)^(degrees - 1) over
    a finite range (Abramowitz and Stegun 1964, 26.7); right to four digits.
    """
    angles, step = np.linspace(0, math.pi / 2, 20_001, retstep=True)
    density = np.cos(angles) ** (degrees - 1)
    area = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2) * step])
    angle = float(np.interp((probability - 0.5) * 2 * area[-1], area, angles))
    return math.sqrt(degrees) * math.tan(angle)
