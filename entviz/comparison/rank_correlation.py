"""Rank correlations and their bootstrap intervals, for many resamples at once.

spearman(scores, damage)                                # one number
draw = resample(blocks=30, windows=8, count=2000)       # which blocks and windows each resample is made of
low, high = interval(spearman(scores, damage), spearman(draw.of(scores_by_window), draw.of(damage_by_window)))
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

_NORMAL = NormalDist()
CONFIDENCE = 0.95


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 along the last axis, equal values sharing the mean of their ranks; same shape as ``values``."""
    order = np.argsort(values, axis=-1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=-1)
    place = np.broadcast_to(np.arange(1, values.shape[-1] + 1), values.shape)
    starts = np.ones(values.shape, dtype=bool)  # of each run of equal values
    starts[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    ends = np.ones(values.shape, dtype=bool)
    ends[..., :-1] = starts[..., 1:]
    first = np.maximum.accumulate(np.where(starts, place, 0), axis=-1)
    last = np.where(ends, place, values.shape[-1])[..., ::-1]
    last = np.minimum.accumulate(last, axis=-1)[..., ::-1]
    found = np.empty(values.shape)
    np.put_along_axis(found, order, (first + last) / 2, axis=-1)
    return found


def spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation along the last axis: Pearson's of the :func:`ranks`.

    It is not a number where all of ``x`` or all of ``y`` are equal, or where one of them is not a number.
    """
    a, b = ranks(x), ranks(y)
    a -= a.mean(axis=-1, keepdims=True)
    b -= b.mean(axis=-1, keepdims=True)
    scale = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    undefined = (scale == 0) | np.isnan(x).any(axis=-1) | np.isnan(y).any(axis=-1)
    return np.where(undefined, np.nan, (a * b).sum(axis=-1) / np.where(scale == 0, 1, scale))


def kendall(x: np.ndarray, y: np.ndarray) -> float:
    """Kendall's tau-b of two vectors: agreeing less disagreeing pairs, corrected for ties (Kendall 1945)."""
    upper = np.triu_indices(len(x), 1)
    a, b = (np.sign(np.subtract.outer(values, values))[upper] for values in (x, y))
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / scale) if scale > 0 else float("nan")


@dataclass(frozen=True, eq=False)
class Resample:
    """Blocks and windows drawn with replacement, each on their own.

    Attributes:
        blocks: (count, blocks) which blocks make up each resample.
        weights: (count, windows) the share of each window in it.
    """

    blocks: np.ndarray
    weights: np.ndarray

    def of(self, by_window: np.ndarray) -> np.ndarray:
        """Means over the drawn windows of the drawn blocks: (count, blocks), of (blocks, windows)."""
        return np.take_along_axis(self.weights @ by_window.T, self.blocks, axis=1)


def resample(blocks: int, windows: int, count: int, seed: int = 0) -> Resample:
    """Draw ``count`` resamples of both blocks and windows; the same arguments always give the same ones."""
    generator = np.random.default_rng(seed)
    drawn = generator.integers(blocks, size=(count, blocks))
    weights = generator.multinomial(windows, np.full(windows, 1 / windows), size=count) / windows
    return Resample(drawn, weights)


def interval(estimate: float, resampled: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The bias-corrected percentile interval (Efron 1981, "Nonparametric standard errors", section 10).

    Noise lowers a correlation, and a resample has more of it than the sample, so plain percentiles lie too low; the
    correction moves them by how many resamples lie below ``estimate``. Resamples that have no value are left out; the
    interval is not a number where those are more than half.
    """
    valid = resampled[~np.isnan(resampled)]
    if np.isnan(estimate) or len(valid) <= len(resampled) / 2:
        return float("nan"), float("nan")
    below = ((valid < estimate).mean() + (valid <= estimate).mean()) / 2
    edge = 0.5 / len(valid)
    shift = 2 * _NORMAL.inv_cdf(min(max(below, edge), 1 - edge))
    reach = _NORMAL.inv_cdf((1 + confidence) / 2)
    low, high = np.quantile(valid, [_NORMAL.cdf(shift - reach), _NORMAL.cdf(shift + reach)])
    return float(low), float(high)
