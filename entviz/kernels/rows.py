"""Kernels that go along the rows of several sites at once: one item is a run of neighbouring tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, njit

from entviz.kernels.compiling import float32_at, float64_at, kernel, take

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


@kernel
def cosines_of_two(data: Any) -> None:
    """Per token the cosine of x and y."""
    head = carray(data, (8,))
    items, tokens, width, run = head[1], head[2], head[3], head[4]
    x = carray(float32_at(head[5]), (tokens * width,))
    y = carray(float32_at(head[6]), (tokens * width,))
    cosines = carray(float64_at(head[7]), (tokens,))
    while True:
        item = take(data)
        if item >= items:
            break
        for token in range(item * run, min(tokens, (item + 1) * run)):
            here = slice(token * width, (token + 1) * width)
            xx, yy, xy = _products_of_two(x[here], y[here], width)
            cosines[token] = xy / (_norm(xx) * _norm(yy))


@kernel
def cosines_of_three(data: Any) -> None:
    """Per token the cosines of x and y, of y and z, and of x and z, each state read once."""
    head = carray(data, (9,))
    items, tokens, width, run = head[1], head[2], head[3], head[4]
    x = carray(float32_at(head[5]), (tokens * width,))
    y = carray(float32_at(head[6]), (tokens * width,))
    z = carray(float32_at(head[7]), (tokens * width,))
    cosines = carray(float64_at(head[8]), (3 * tokens,))
    while True:
        item = take(data)
        if item >= items:
            break
        for token in range(item * run, min(tokens, (item + 1) * run)):
            here = slice(token * width, (token + 1) * width)
            xx, yy, zz, xy, yz, xz = _products_of_three(x[here], y[here], z[here], width)
            cosines[token] = xy / (_norm(xx) * _norm(yy))
            cosines[tokens + token] = yz / (_norm(yy) * _norm(zz))
            cosines[2 * tokens + token] = xz / (_norm(xx) * _norm(zz))
