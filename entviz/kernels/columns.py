"""Kernels over the columns of a window: one item is a run of neighbouring dimensions of one window.

Each window has ``items_each`` items of ``run`` dimensions each; the last item may be smaller.

States are stored token after token, so a run of dimensions is read row by row. Every read is contiguous and every loop
over the run becomes vector instructions.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from entviz.kernels.compiling import kernel


@njit(error_model="numpy", fastmath={"nsz"})
def _sum_of_count_log_count(
    states: np.ndarray, first: int, run: int, buckets: int, count_log_count: np.ndarray
) -> float:
    """The sum of c log c over dimensions first..first+run and buckets, c the number of tokens in a bucket; NaN if a
    value is not finite.
    """
    tokens = states.shape[0]
    lowest = np.empty(run, np.float32)
    highest = np.empty(run, np.float32)
    # x * 0 is 0 for a finite x and NaN for any other: minimum and maximum alone would miss a NaN.
    nothing = np.zeros(run, np.float32)
    for j in range(run):
        lowest[j] = states[0, first + j]
        highest[j] = states[0, first + j]
    for token in range(tokens):
        row = states[token, first : first + run]
        for j in range(run):
            value = row[j]
            lowest[j] = value if value < lowest[j] else lowest[j]
            highest[j] = value if value > highest[j] else highest[j]
            nothing[j] += value * np.float32(0)
    scale = np.empty(run, np.float32)
    finite = True
    for j in range(run):
        extent = highest[j] - lowest[j]
        finite &= np.isfinite(extent + nothing[j])
        scale[j] = np.float32(buckets) / extent
        if not np.isfinite(scale[j]):
            scale[j] = np.float32(0)
    if not finite:
        return np.nan
    counts = np.zeros(run * buckets, np.int32)
    index = np.empty(run, np.int32)
    for token in range(tokens):
        row = states[token, first : first + run]
        for j in range(run):  # separate from the loop below, which cannot be vectorized
            index[j] = min(np.int32((row[j] - lowest[j]) * scale[j]), np.int32(buckets - 1))
        for j in range(run):
            counts[j * buckets + index[j]] += np.int32(1)
    total = 0.0
    for i in range(run * buckets):
        total += count_log_count[counts[i]]
    return total


@kernel("float32[:, :, ::1]", "int64", "int64", "int64", "float64[::1]", "float64[:, ::1]")
def count(
    first_item: int,
    last_item: int,
    states: np.ndarray,
    items_each: int,
    run: int,
    buckets: int,
    count_log_count: np.ndarray,
    totals: np.ndarray,
) -> None:
    """For each item the sum of c log c over its dimensions and buckets: totals, of shape (windows, items_each)."""
    width = states.shape[2]
    for item in range(first_item, last_item):
        window, part = item // items_each, item % items_each
        first = part * run
        totals[window, part] = _sum_of_count_log_count(
            states[window], first, min(run, width - first), buckets, count_log_count
        )


@njit(error_model="numpy", fastmath={"nsz", "contract"})
def _standardize(states: np.ndarray, first: int, run: int, standardized: np.ndarray) -> None:
    """(x - mean) / (unbiased deviation + 1e-10) of dimensions first..first+run."""
    tokens = states.shape[0]
    origin = np.empty(run, np.float32)
    mean = np.zeros(run, np.float32)
    scale = np.zeros(run, np.float32)
    for j in range(run):
        origin[j] = states[0, first + j]
    # The mean is taken of differences from one token: those of a constant dimension are exactly zero.
    for token in range(tokens):
        row = states[token, first : first + run]
        for j in range(run):
            mean[j] += row[j] - origin[j]
    for j in range(run):
        mean[j] /= np.float32(tokens)
    for token in range(tokens):
        row = states[token, first : first + run]
        for j in range(run):
            difference = row[j] - origin[j] - mean[j]
            scale[j] += difference * difference
    for j in range(run):
        scale[j] = np.float32(1) / (np.sqrt(scale[j] / np.float32(tokens - 1)) + np.float32(1e-10))
    for token in range(tokens):
        row = states[token, first : first + run]
        written = standardized[token, first : first + run]
        for j in range(run):
            written[j] = (row[j] - origin[j] - mean[j]) * scale[j]


@kernel("float32[:, :, ::1]", "int64", "int64", "float32[:, :, ::1]")
def standardize(
    first_item: int, last_item: int, states: np.ndarray, items_each: int, run: int, standardized: np.ndarray
) -> None:
    """States with mean 0 and deviation 1 in every dimension of every window."""
    width = states.shape[2]
    for item in range(first_item, last_item):
        window, first = item // items_each, item % items_each * run
        _standardize(states[window], first, min(run, width - first), standardized[window])
