"""Kernels that go down the columns of a window: one item is a run of neighbouring dimensions of one window.

States lie in memory token after token, so a run of dimensions is read row by row: every read is contiguous and every
loop over the run becomes vector instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, njit

from entviz.kernels.compiling import float32_at, float64_at, kernel, take


@njit(error_model="numpy", fastmath={"nsz"})
def _sum_of_count_log_count(
    states: np.ndarray,
    tokens: int,
    width: int,
    first: int,
    run: int,
    buckets: int,
    count_log_count: np.ndarray,
) -> float:
    """Sum over dimensions first..first+run and buckets of c log c, c the tokens in the bucket; NaN if not finite."""
    lowest = np.empty(run, np.float32)
    highest = np.empty(run, np.float32)
    # x * 0 is 0 for a finite x and NaN for any other: minimum and maximum alone would step over a NaN.
    nothing = np.zeros(run, np.float32)
    for j in range(run):
        lowest[j] = states[first + j]
        highest[j] = states[first + j]
    for token in range(tokens):
        row = states[token * width + first : token * width + first + run]
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
        row = states[token * width + first : token * width + first + run]
        for j in range(run):  # apart from the loop below, which cannot be vector instructions
            index[j] = min(np.int32((row[j] - lowest[j]) * scale[j]), np.int32(buckets - 1))
        for j in range(run):
            counts[j * buckets + index[j]] += np.int32(1)
    total = 0.0
    for i in range(run * buckets):
        total += count_log_count[counts[i]]
    return total


@kernel
def count(data: Any) -> None:
    """Per item the sum of c log c over its dimensions and their buckets."""
    head = carray(data, (10,))
    items, windows, tokens, width, buckets, run = head[1], head[2], head[3], head[4], head[5], head[6]
    states = carray(float32_at(head[7]), (windows * tokens * width,))
    count_log_count = carray(float64_at(head[8]), (tokens + 1,))
    totals = carray(float64_at(head[9]), (items,))
    runs = items // windows
    size = tokens * width
    while True:
        item = take(data)
        if item >= items:
            break
        window, first = item // runs, item % runs * run
        totals[item] = _sum_of_count_log_count(
            states[window * size : (window + 1) * size],
            tokens,
            width,
            first,
            min(run, width - first),
            buckets,
            count_log_count,
        )


@njit(error_model="numpy", fastmath={"nsz", "contract"})
def _standardize(
    states: np.ndarray, tokens: int, width: int, first: int, run: int, standardized: np.ndarray
) -> None:
    """(x - mean) / (unbiased deviation + 1e-10) of dimensions first..first+run."""
    origin = np.empty(run, np.float32)
    mean = np.zeros(run, np.float32)
    scale = np.zeros(run, np.float32)
    for j in range(run):
        origin[j] = states[first + j]
    # The mean is taken of differences from one token: those of a constant dimension are exactly zero.
    for token in range(tokens):
        row = states[token * width + first : token * width + first + run]
        for j in range(run):
            mean[j] += row[j] - origin[j]
    for j in range(run):
        mean[j] /= np.float32(tokens)
    for token in range(tokens):
        row = states[token * width + first : token * width + first + run]
        for j in range(run):
            difference = row[j] - origin[j] - mean[j]
            scale[j] += difference * difference
    for j in range(run):
        scale[j] = np.float32(1) / (np.sqrt(scale[j] / np.float32(tokens - 1)) + np.float32(1e-10))
    for token in range(tokens):
        row = states[token * width + first : token * width + first + run]
        written = standardized[token * width + first : token * width + first + run]
        for j in range(run):
            written[j] = (row[j] - origin[j] - mean[j]) * scale[j]


@kernel
def standardize(data: Any) -> None:
    """States with mean 0 and deviation 1 in every dimension of every window."""
    head = carray(data, (8,))
    items, windows, tokens, width, run = head[1], head[2], head[3], head[4], head[5]
    size = tokens * width
    states = carray(float32_at(head[6]), (windows * size,))
    standardized = carray(float32_at(head[7]), (windows * size,))
    runs = items // windows
    while True:
        item = take(data)
        if item >= items:
            break
        window, first = item // runs, item % runs * run
        here = slice(window * size, (window + 1) * size)
        _standardize(states[here], tokens, width, first, min(run, width - first), standardized[here])
