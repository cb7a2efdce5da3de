"""Kernels that compute distances from a Gram matrix without storing them: |x - y|^2 = <x, x> + <y, y> - 2 <x, y>.

The k-th smallest value is found by bisection: the values below a threshold are counted and the interval is halved. Each
count is one pass of vector instructions over values in the fastest cache, and about ten passes are enough.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from entviz.kernels.compiling import float32_of_bits, kernel
from entviz.kernels.exponential import exp

_BITS_OF_INFINITY = np.int32(0x7F800000)


@njit(error_model="numpy")
def _smallest(bits: np.ndarray, values: int, rank: int) -> np.int32:
    """The rank-th smallest (from 1) of non-negative float32 values, as bits, whose order is that of the values.

    Infinities are not counted; there must be at least ``rank`` other values.
    """
    low, high = np.int32(0x7FFFFFFF), np.int32(0)
    for i in range(values):
        low = min(low, bits[i])
        high = max(high, bits[i] if bits[i] < _BITS_OF_INFINITY else np.int32(0))
    low -= np.int32(1)
    # Fewer than rank values are <= low, at least rank are <= high.
    while high - low > 1:
        middle = low + (high - low) // 2
        below = np.int32(0)
        for i in range(values):
            below += np.int32(bits[i] <= middle)
        if below == rank:
            highest = np.int32(0)
            for i in range(values):
                highest = max(highest, bits[i] if bits[i] <= middle else np.int32(0))
            return highest
        if below < rank:
            low = np.int32(middle)
        else:
            high = np.int32(middle)
    return high


@njit(error_model="numpy")
def _norms(products: np.ndarray, norms: np.ndarray) -> bool:
    """Copy the diagonal, and return whether all of it is finite."""
    finite = True
    for i in range(norms.size):
        norms[i] = products[i, i]
        finite &= np.isfinite(norms[i])
    return finite


@njit(error_model="numpy", fastmath={"nsz", "contract"})
def _squares(products: np.ndarray, norm: float, norms: np.ndarray, first: int, squares: np.ndarray) -> None:
    """Squared distances of one token to tokens first, first + 1 and so on, as many as ``squares`` holds."""
    for j in range(squares.size):
        square = norm + norms[first + j] - np.float32(2) * products[first + j]
        squares[j] = square if square > np.float32(0) else np.float32(0)


@kernel("float32[:, :, ::1]", "int64", "float32[:, ::1]")
def kth_nearest(first_token: int, last_token: int, products: np.ndarray, k: int, nearest: np.ndarray) -> None:
    """For each token the squared distance to its k-th nearest other token; NaN in a window that is not finite."""
    tokens = products.shape[1]
    norms = np.empty(tokens, np.float32)
    squares = np.empty(tokens, np.float32)
    bits = squares.view(np.int32)
    known, finite = -1, False
    for item in range(first_token, last_token):
        window, token = item // tokens, item % tokens
        if window != known:
            known, finite = window, _norms(products[window], norms)
        if finite:
            _squares(products[window, token], norms[token], norms, 0, squares)
            squares[token] = np.float32(np.inf)
            nearest[window, token] = float32_of_bits(np.int32(_smallest(bits, tokens, k)))
        else:
            nearest[window, token] = np.float32(np.nan)


@njit(error_model="numpy", fastmath={"nsz", "contract", "reassoc"})
def _sum_of_powers(exponents: np.ndarray, scale: float, largest: float, order: float) -> np.float32:
    """Sum of exp(-order * min(scale * exponent, largest))."""
    total = np.float32(0)
    for i in range(exponents.size):
        exponent = -order * min(exponents[i] * scale, largest)
        total += exp(max(exponent, np.float32(-87)))
    return total


@njit(error_model="numpy", fastmath={"nsz", "contract", "reassoc"})
def _mean_entropy_of_rows(pairs: np.ndarray, tokens: int, scale: float, largest: float) -> float:
    """Mean over tokens of the entropy of K's row normalized to p; with K = exp(-e) it is log(sum K) + sum(p e)."""
    sums = np.ones(tokens)  # K of a token and itself
    weighted = np.zeros(tokens)
    offset = 0
    for i in range(tokens):
        row_sum, row_weighted = 0.0, 0.0
        for j in range(tokens - i - 1):
            exponent = min(pairs[offset + j] * scale, largest)
            similarity = exp(-exponent)
            row_sum += similarity
            row_weighted += similarity * exponent
            sums[i + 1 + j] += similarity
            weighted[i + 1 + j] += similarity * exponent
        sums[i] += row_sum
        weighted[i] += row_weighted
        offset += tokens - i - 1
    total = 0.0
    for i in range(tokens):
        total += np.log(sums[i]) + weighted[i] / sums[i]
    return total / tokens


@njit(error_model="numpy")
def _renyi(products: np.ndarray, alpha: float, smallest_similarity: float) -> tuple[float, float]:
    """Entropy, and median of the squared distances."""
    tokens = products.shape[0]
    norms = np.empty(tokens, np.float32)
    if not _norms(products, norms):
        return np.nan, np.nan
    pairs = np.empty(tokens * (tokens - 1) // 2, np.float32)
    offset = 0
    for i in range(tokens - 1):
        _squares(products[i], norms[i], norms, i + 1, pairs[offset : offset + tokens - i - 1])
        offset += tokens - i - 1
    # Of all n^2 distances n are zero and every other one occurs twice. Squaring keeps their order.
    rank = ((tokens * tokens + 1) // 2 - tokens + 1) // 2
    median = np.float32(0)
    if rank > 0:
        median = float32_of_bits(np.int32(_smallest(pairs.view(np.int32), pairs.size, rank)))
    scale = np.float32(0.5) / max(median, np.float32(1.1754944e-38))
    largest = np.float32(-np.log(smallest_similarity))
    if alpha == 1:
        return _mean_entropy_of_rows(pairs, tokens, scale, largest), np.float64(median)
    total = float(tokens)  # K = 1 for each token and itself
    for start in range(0, pairs.size, 4096):  # short runs, so that float32 sums stay exact enough
        total += 2 * np.float64(
            _sum_of_powers(pairs[start : start + 4096], scale, largest, np.float32(alpha - 1))
        )
    return np.log(total / (tokens * tokens)) / (1 - alpha), np.float64(median)


@kernel("float32[:, :, ::1]", "float64", "float64", "float64[::1]", "float64[::1]")
def renyi(
    first_window: int,
    last_window: int,
    products: np.ndarray,
    alpha: float,
    smallest_similarity: float,
    entropies: np.ndarray,
    medians: np.ndarray,
) -> None:
    """Renyi entropy and median of each window from the Gram matrix of standardized states."""
    for window in range(first_window, last_window):
        entropies[window], medians[window] = _renyi(products[window], alpha, smallest_similarity)
