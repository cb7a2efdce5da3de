"""Kernels over the rows of several sites at once: one item is a token."""

from __future__ import annotations

import numpy as np
from numba import njit

from entviz.kernels.compiling import kernel

SMALLEST_NORM = 1e-8


@njit(error_model="numpy", fastmath={"nsz", "contract", "reassoc"})
def _products_of_two(x: np.ndarray, y: np.ndarray, width: int) -> tuple[np.float32, np.float32, np.float32]:
    xx, yy, xy = np.float32(0), np.float32(0), np.float32(0)
    for j in range(width):
        xx += x[j] * x[j]
        yy += y[j] * y[j]
        xy += x[j] * y[j]
    return xx, yy, xy


@njit(error_model="numpy", fastmath={"nsz", "contract", "reassoc"})
def _products_of_three(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, width: int
) -> tuple[np.float32, np.float32, np.float32, np.float32, np.float32, np.float32]:
    xx, yy, zz = np.float32(0), np.float32(0), np.float32(0)
    xy, yz, xz = np.float32(0), np.float32(0), np.float32(0)
    for j in range(width):
        xx += x[j] * x[j]
        yy += y[j] * y[j]
        zz += z[j] * z[j]
        xy += x[j] * y[j]
        yz += y[j] * z[j]
        xz += x[j] * z[j]
    return xx, yy, zz, xy, yz, xz


@njit(error_model="numpy")
def _norm(square: float) -> float:
    return max(np.sqrt(np.float64(square)), SMALLEST_NORM)


@kernel("float32[:, ::1]", "float32[:, ::1]", "float64[:, ::1]")
def cosines_of_two(first: int, last: int, x: np.ndarray, y: np.ndarray, cosines: np.ndarray) -> None:
    """For each token the cosine of x and y. Sites have shape (tokens, width), cosines (1, tokens)."""
    for token in range(first, last):
        xx, yy, xy = _products_of_two(x[token], y[token], x.shape[1])
        cosines[0, token] = xy / (_norm(xx) * _norm(yy))


@kernel("float32[:, ::1]", "float32[:, ::1]", "float32[:, ::1]", "float64[:, ::1]")
def cosines_of_three(
    first: int, last: int, x: np.ndarray, y: np.ndarray, z: np.ndarray, cosines: np.ndarray
) -> None:
    """For each token the cosines of x and y, y and z, and x and z, reading each state once; cosines (3, tokens)."""
    for token in range(first, last):
        xx, yy, zz, xy, yz, xz = _products_of_three(x[token], y[token], z[token], x.shape[1])
        cosines[0, token] = xy / (_norm(xx) * _norm(yy))
        cosines[1, token] = yz / (_norm(yy) * _norm(zz))
        cosines[2, token] = xz / (_norm(xx) * _norm(zz))
