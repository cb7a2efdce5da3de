"""How small the coefficients of a fit are kept: by what leaves the least error on windows that were held out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from entviz.repair.moments import Moments, Rows

RIDGES: Final = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
FIRST: Final = 1e-1
LEAST: Final = 1e-9  # without a ridge of its own: what makes least squares solvable in float64
_DIRECTIONS: Final = 64  # of the errors, in which ridges are compared


def best_ridge(fitted: Moments, held_out: Sequence[Rows | Moments], start: float = FIRST) -> float:
    """The ridge whose solution of ``fitted`` leaves the least error on ``held_out``; infinite if no change is best.

    Each of ``held_out`` counts the same. Errors are compared in some random directions, the same each time, which takes
    a fraction of the time. Over ridges the error has one minimum, which is looked for from ``start``, one of
    :data:`RIDGES`.
    """
    sketch = _directions(fitted.cross.shape[1]).to(fitted.cross)
    few, judges = fitted.sketched(sketch), [(one.sketched(sketch), one.size) for one in held_out]
    gains: dict[int, float] = {}

    def gain(place: int) -> float:
        if place not in gains:
            solution = few.solve(RIDGES[place])
            gains[place] = sum(judge.gain(solution) / size for judge, size in judges)
        return gains[place]

    best = RIDGES.index(start)
    while True:
        near = [place for place in (best - 1, best, best + 1) if 0 <= place < len(RIDGES)]
        better = max(near, key=gain)
        if better == best:
            return RIDGES[best] if gain(best) > 0 else math.inf
        best = better


def left(solution: Tensor, held_out: Sequence[Rows | Moments]) -> tuple[float, ...]:
    """The share of each one's squared error that is left with a solution."""
    return tuple(one.error(solution) / one.size for one in held_out)


def _directions(outputs: int) -> Tensor:
    """(outputs, directions) orthonormal random directions."""
    if outputs <= _DIRECTIONS:
        return torch.eye(outputs, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    return torch.linalg.qr(torch.randn(outputs, _DIRECTIONS, generator=generator, dtype=torch.float64)).Q
