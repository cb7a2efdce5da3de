"""The uncertainty of a mean over tokens: one interval for losses, divergences and differences, with correlated tokens.

    found = interval(cosine_averages(losses_a - losses_b))      # (windows, tokens) each
    found.mean, found.low, found.high, found.clear

**Method.** Neighbouring tokens are correlated and there are few windows, so tokens cannot be treated as independent and
windows alone do not suffice. Each window is summarized by its mean and by averages weighted with slow cosines. These
averages are nearly independent of each other and have the same variance as the mean, whatever the correlation between
nearby tokens. Their mean square gives the standard error of the mean; their number gives the degrees of freedom of
Student's t. This is a heteroskedasticity- and autocorrelation-robust (HAR) standard error, the orthonormal-series
estimator of Lazarus, Lewis, Stock and Watson 2018, "HAR Inference: Recommendations for Practice", Journal of Business &
Economic Statistics 36:541-559, pooled over windows. The number of cosines is chosen to give 15 degrees of freedom. From
16 windows on no cosines are needed, and the result is the usual interval over windows.

**Meaning.** The interval is for more text like the one measured, not for other texts.

**Coverage.** In simulations (``tests/test_statistics.py``: 1 to 64 windows of 64 to 256 tokens; normal, heavy-tailed
and skewed losses; neighbouring tokens correlated by up to 0.6) 95% intervals contain the true mean in 92 to 97% of
cases. Limits: for very skewed (lognormal) losses correlated by 0.6, in one or two windows of 64 tokens, it is 90 to
92%. For fewer than 16 windows that differ from each other by twice as much as their tokens explain, it is 80 to 92%,
because so few windows do not show this. For a single window of fewer than nine scored tokens the interval is infinite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95
_ENOUGH = 15  # degrees of freedom: Student's t is then within 9% of the normal distribution


@dataclass(frozen=True)
class Interval:
    """A mean, and its interval for the requested confidence; infinite if the spread cannot be estimated."""

    mean: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval excludes 0."""
        return not self.low <= 0 <= self.high

    @property
    def reach(self) -> float:
        """Half its width: the number after ±."""
        return (self.high - self.low) / 2

    def to_json(self) -> dict[str, float | None]:
        """Plain data: mean, low, high; an unknown end is None."""
        ends = (self.mean, self.low, self.high)
        found = [value if math.isfinite(value) else None for value in ends]
        return dict(zip(("mean", "low", "high"), found, strict=True))


def cosine_basis(windows: int, tokens: int) -> np.ndarray:
    """The weights of :func:`cosine_averages`, (1 + K, tokens); K depends on the numbers of windows and tokens."""
    bounded = int(tokens ** (2 / 3) / 4)  # slow enough for correlations of up to 0.6 between neighbours
    count = min(bounded, max(0, math.ceil((_ENOUGH + 1) / max(1, windows)) - 1))
    angles = np.pi * np.arange(1, count + 1)[:, None] * (np.arange(tokens) + 0.5) / tokens
    return np.concatenate([np.ones((1, tokens)), math.sqrt(2) * np.cos(angles)]) / tokens


def cosine_averages(values: np.ndarray) -> np.ndarray:
    """The averages of ``values`` (..., windows, tokens) that :func:`interval` needs.

    Returns (..., windows, 1 + K), each window's mean first. The averages are linear in ``values``, so the averages of a
    difference are the difference of the averages.
    """
    return np.asarray(values, dtype=np.float64) @ cosine_basis(*values.shape[-2:]).T


def deviations(averages: np.ndarray) -> tuple[np.ndarray, int]:
    """``averages`` with the mean over windows subtracted from the means, and their degrees of freedom."""
    found = np.array(averages, dtype=np.float64)
    found[..., 0] -= found[..., 0].mean(axis=-1, keepdims=True)
    return found, found.shape[-2] * found.shape[-1] - 1


def standard_error(averages: np.ndarray) -> np.ndarray:
    """Standard error of the mean over windows, (...) of (..., windows, 1 + K); NaN if it cannot be estimated."""
    apart, degrees = deviations(averages)
    if degrees < 1:
        return np.full(apart.shape[:-2], np.nan)
    return np.sqrt((apart**2).sum(axis=(-2, -1)) / degrees / apart.shape[-2])


def reach(averages: np.ndarray, confidence: float = CONFIDENCE) -> np.ndarray:
    """Half the width of the interval of each mean, (...); infinite if it cannot be estimated."""
    degrees = averages.shape[-2] * averages.shape[-1] - 1
    if degrees < 1:
        return np.full(averages.shape[:-2], np.inf)
    return float(stdtrit(degrees, 0.5 + confidence / 2)) * standard_error(averages)


def interval(averages: np.ndarray, confidence: float = CONFIDENCE) -> Interval:
    """The mean over windows of (windows, 1 + K) averages, with its interval."""
    mean = float(averages[:, 0].mean())
    # An infinite loss is infinitely far from finite ones, and the difference of two infinite losses is unknown.
    if not math.isfinite(mean):
        return Interval(mean, mean, mean) if math.isinf(mean) else Interval(mean, -math.inf, math.inf)
    half = float(reach(averages, confidence))
    return Interval(mean, mean - half, mean + half)
