"""Kernels that add a tile of logits to the running log-sum-exp and argmax of each row; one item is a row.

A row's part of a tile is read up to three times from the fastest caches: for its maximum, for the exponentials, and, if
the maximum is new, to find its position.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from entviz.kernels.compiling import float32_of_bits, kernel
from entviz.kernels.exponential import exp

_RUN = 1024  # short, because they are summed in float32


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
    """Convert bfloat16, given as its bits, to float32; the bits are the upper half of a float32."""
    for i in range(bits.size):
        logits[i] = float32_of_bits(np.int32(bits[i]) << np.int32(16))


@kernel("float32[::1]", "int64", "int64", "int64", "float32[::1]", "float64[::1]", "int64[::1]")
def float32(
    first_row: int,
    last_row: int,
    logits: np.ndarray,
    tile: int,
    stride: int,
    first: int,
    maxima: np.ndarray,
    totals: np.ndarray,
    best: np.ndarray,
) -> None:
    """Logits in float32: ``tile`` logits in each row, with ``stride`` from one row to the next."""
    for row in range(first_row, last_row):
        _take_in(logits[row * stride : row * stride + tile], first, row, maxima, totals, best)


@kernel("int16[::1]", "int64", "int64", "int64", "float32[::1]", "float64[::1]", "int64[::1]")
def bfloat16(
    first_row: int,
    last_row: int,
    bits: np.ndarray,
    tile: int,
    stride: int,
    first: int,
    maxima: np.ndarray,
    totals: np.ndarray,
    best: np.ndarray,
) -> None:
    """Logits in bfloat16, given as their bits."""
    logits = np.empty(tile, np.float32)
    for row in range(first_row, last_row):
        _widen(bits[row * stride : row * stride + tile], logits)
        _take_in(logits, first, row, maxima, totals, best)
