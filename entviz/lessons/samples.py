"""Small samples to measure, the same for the same seed.

::

    samples.line("two groups", 256, seed=3)              # (256,) values of one dimension
    samples.plane(60, seed=3)                            # (60, 2) points
    samples.groups(60, seed=3, number=3, apart=4.0)      # (60, 2) points and the group of each
"""

from collections.abc import Callable
from typing import Final

import numpy as np

_GROUP: Final = 0.3  # deviation inside each of two groups


def _two_groups(random: np.random.Generator, count: int) -> np.ndarray:
    side = np.where(np.arange(count) % 2, 1.0, -1.0)
    return side * np.sqrt(1 - _GROUP**2) + random.normal(0, _GROUP, count)


_SHAPES: Final[dict[str, Callable[[np.random.Generator, int], np.ndarray]]] = {
    "normal": lambda random, count: random.normal(0, 1, count),
    "uniform": lambda random, count: random.uniform(-np.sqrt(3), np.sqrt(3), count),
    "two groups": _two_groups,
}
SHAPES: Final = tuple(_SHAPES)  # each of mean 0 and deviation 1


def line(shape: str, count: int, seed: int, far: float | None = None) -> np.ndarray:
    """Values of one dimension, float32 (count,), from a distribution of mean 0 and standard deviation 1.

    ``shape`` is one of ``SHAPES``. If ``far`` is given, it replaces the first value: one token unlike the others.
    """
    values = _SHAPES[shape](np.random.default_rng(seed), count)
    if far is not None:
        values[0] = far
    return values.astype(np.float32)


def plane(count: int, seed: int) -> np.ndarray:
    """Points of two dimensions, float32 (count, 2), normal with deviation 1 in each."""
    return np.random.default_rng(seed).normal(0, 1, (count, 2)).astype(np.float32)


def groups(count: int, seed: int, number: int, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Points in groups of equal size, with centres on a circle.

    The distance of neighbouring centres is ``apart`` times the deviation of a group. Returns the points, float32
    (count, 2), and the group of each from 0, (count,), in order of group.
    """
    group = np.arange(count) * number // count
    radius = apart / (2 * np.sin(np.pi / number)) if number > 1 else 0.0
    angle = 2 * np.pi * group / number + 0.4  # turned, so that two groups differ in both dimensions
    centres = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return (centres + plane(count, seed)).astype(np.float32), group
