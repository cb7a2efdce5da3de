"""Kernels that add a tile of logits to the running log-sum-exp and argmax of each row; one item is a run of rows.

A row's part of a tile is read three times, from the nearest caches: for its maximum, for the exponentials, and, only
where the maximum is new, up to the place where it stands.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, njit

from entviz.kernels.compiling import (
    float32_at,
    float32_of_bits,
    float64_at,
    int16_at,
    int64_at,
    kernel,
    take,
)
from entviz.kernels.exponential import exp

_RUN = 1024  # summed in float32, so short


@njit(error_model="numpy", fastmath={"nsz", "nnan"})
def _maximum(logits: np.ndarray) -> np.float32:
    largest = np.float32(-np.inf)
    for i in range(logits.size):
        largest = logits[i] if logits[i] > largest else largest
    return largest


@njit(error_model="numpy", fastmath={"nsz", "contract", "reassoc"})
def _sum(logits: np.ndarray, maximum: np.float32) -> np.float32:
    total = np.float32(0)
    for i in range(logits.size):
        total += exp(max(logits[i] - maximum, np.float32(-87)))
    return total


@njit(error_model="numpy")
def _has_nan(logits: np.ndarray) -> bool:
    count = np.int32(0)
    for i in range(logits.size):
        count += np.int32(logits[i] != logits[i])
    return bool(count > 0)


@njit(error_model="numpy")
def _place(logits: np.ndarray, value: np.float32) -> int:
    for i in range(logits.size):
        if logits[i] == value:
            return i
    return 0


@njit(error_model="numpy")
def _take_in(
    logits: np.ndarray, first: int, row: int, maxima: np.ndarray, totals: np.ndarray, best: np.ndarray
) -> None:
    """Add one row's part of a tile."""
    largest = _maximum(logits)
    if _has_nan(logits) or largest == np.float32(np.inf):
        totals[row] = np.nan
        return
    if largest > maxima[row]:
        totals[row] *= np.exp(np.float64(maxima[row]) - np.float64(largest))
        maxima[row] = largest
        best[row] = first + _place(logits, largest)
    maximum = maxima[row]
    if maximum == np.float32(-np.inf):
        return
    total = 0.0
    for start in range(0, logits.size, _RUN):
        total += np.float64(_sum(logits[start : start + _RUN], maximum))
    totals[row] += total


@njit(error_model="numpy")
def _widen(bits: np.ndarray, logits: np.ndarray) -> None:
    """bfloat16, given as its bits, to float32, of which it is the upper half."""
    for i in range(bits.size):
        logits[i] = float32_of_bits(np.int32(bits[i]) << np.int32(16))


@kernel
def float32(data: Any) -> None:
    """Logits in float32."""
    head = carray(data, (11,))
    items, rows, tile, stride, first, run = head[1], head[2], head[3], head[4], head[5], head[6]
    logits = carray(float32_at(head[7]), (rows * stride,))
    maxima = carray(float32_at(head[8]), (rows,))
    totals = carray(float64_at(head[9]), (rows,))
    best = carray(int64_at(head[10]), (rows,))
    while True:
        item = take(data)
        if item >= items:
            break
        for row in range(item * run, min(rows, (item + 1) * run)):
            _take_in(logits[row * stride : row * stride + tile], first, row, maxima, totals, best)


@kernel
def bfloat16(data: Any) -> None:
    """Logits in bfloat16."""
    head = carray(data, (11,))
    items, rows, tile, stride, first, run = head[1], head[2], head[3], head[4], head[5], head[6]
    bits = carray(int16_at(head[7]), (rows * stride,))
    maxima = carray(float32_at(head[8]), (rows,))
    totals = carray(float64_at(head[9]), (rows,))
    best = carray(int64_at(head[10]), (rows,))
    logits = np.empty(tile, np.float32)
    while True:
        item = take(data)
        if item >= items:
            break
        for row in range(item * run, min(rows, (item + 1) * run)):
            _widen(bits[row * stride : row * stride + tile], logits)
            _take_in(logits, first, row, maxima, totals, best)
