"""Rank correlations and their bootstrap intervals, for many resamples at once.

spearman(scores, damage)                                # one number
draw = resample(blocks=30, windows=8, count=2000)       # resampled blocks, and noise of the text
low, high = interval(spearman(scores, damage), spearman(draw.of(score_averages), draw.of(damage_averages)))
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from entviz.statistics import deviations

_NORMAL = NormalDist()
CONFIDENCE = 0.95


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 along the last axis; equal values get the mean of their ranks. Same shape as ``values``."""
    from scipy.stats import rankdata  # takes half a second to import

    return np.asarray(rankdata(values, axis=-1))


def spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation along the last axis: Pearson's of the :func:`ranks` (Spearman 1904).

    The result is NaN if all values of ``x`` or all values of ``y`` are equal, or if one of them is NaN. For 2,000
    resamples of 12 to 60 blocks ``scipy.stats.spearmanrho`` takes 1.2 to 2.2 times as long.
    """
    a, b = ranks(x), ranks(y)
    a -= a.mean(axis=-1, keepdims=True)
    b -= b.mean(axis=-1, keepdims=True)
    scale = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    undefined = (scale == 0) | np.isnan(x).any(axis=-1) | np.isnan(y).any(axis=-1)
    return np.where(undefined, np.nan, (a * b).sum(axis=-1) / np.where(scale == 0, 1, scale))


def kendall(x: np.ndarray, y: np.ndarray) -> float:
    """Kendall's tau-b of two vectors: concordant minus discordant pairs, corrected for ties (Kendall 1945)."""
    from scipy.stats import kendalltau

    return float(kendalltau(x, y).statistic)


@dataclass(frozen=True, eq=False)
class Resample:
    """Blocks drawn with replacement, and, independently, noise as large as the measured noise of the text.

    Attributes:
        blocks: (count, blocks) the blocks in each resample.
        noise: (count, windows, most averages) standard normal.
    """

    blocks: np.ndarray
    noise: np.ndarray

    def of(self, averages: np.ndarray) -> np.ndarray:
        """Means of the drawn blocks as on another text, (count, blocks), from averages (blocks, windows, 1 + K).

        ``averages`` are those of :func:`entviz.statistics.cosine_averages`, or only the windows' means (K = 0). They
        are multiplied by the same noise for all blocks, so noise that blocks share stays shared (a multiplier
        bootstrap). The variance is that of :func:`entviz.statistics.standard_error`. A single mean gets no noise.
        """
        apart, degrees = deviations(averages)
        means = np.broadcast_to(averages[..., 0].mean(axis=-1), self.blocks.shape)
        if degrees > 0:
            weights = self.noise[..., : apart.shape[-1]].reshape(len(self.noise), -1)
            means = means + weights @ apart.reshape(len(apart), -1).T / math.sqrt(degrees * apart.shape[-2])
        return np.take_along_axis(means, self.blocks, axis=1)


def resample(blocks: int, windows: int, count: int, seed: int = 0, *, averages: int = 1) -> Resample:
    """Draw ``count`` resamples of both blocks and text; the same arguments always give the same resamples.

    ``averages`` is the largest number of averages of a window, 1 + K.
    """
    generator = np.random.default_rng(seed)
    drawn = generator.integers(blocks, size=(count, blocks))
    return Resample(drawn, generator.normal(size=(count, windows, averages)))


def interval(estimate: float, resampled: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The bias-corrected percentile interval (Efron 1981, "Nonparametric standard errors", section 10).

    Noise lowers a correlation, and a resample has more noise than the sample, so plain percentiles are too low. The
    correction moves them according to the share of resamples below ``estimate``. Resamples without a value are left
    out; the interval is NaN if these are more than half.
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
