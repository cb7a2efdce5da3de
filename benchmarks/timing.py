"""Time two things in turn, so that a machine whose speed drifts slows both alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch


@dataclass(frozen=True)
class Figure:
    """One line of the table: what was measured, beside what, and the bound it should keep.

    ``ratio`` is the median over runs of value / baseline, pair by pair; ``bound`` is what it should be at most, and
    ``least`` what it should be at least.
    """

    name: str
    value: float
    baseline_name: str
    baseline: float
    ratio: float
    bound: float | None
    unit: str = "s"
    least: float = 0.0

    @property
    def holds(self) -> bool | None:
        """Whether the ratio keeps its bound; None if there is none."""
        return None if self.bound is None else self.least <= self.ratio <= self.bound


def seconds(run: Callable[[], object]) -> float:
    """How long one call takes, with the accelerator's queue drained before and after."""
    _drain()
    started = time.perf_counter()
    run()
    _drain()
    return time.perf_counter() - started


def paired(
    name: str,
    run: Callable[[], object],
    baseline_name: str,
    baseline: Callable[[], object],
    *,
    bound: float | None = None,
    scale: float = 1.0,
    repeats: int = 5,
) -> Figure:
    """Time ``run`` and ``baseline`` in turn after one warm-up each; ``scale`` multiplies the baseline's time."""
    run()
    baseline()
    pairs = []
    for _ in range(repeats):
        base = seconds(baseline) * scale
        pairs.append((seconds(run), base))
    ratio = median(mine / base for mine, base in pairs)
    value, base = (median(column) for column in zip(*pairs, strict=True))
    return Figure(name, value, baseline_name, base, ratio, bound)


def _drain() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
