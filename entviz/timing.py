"""How long work takes on a device, and how two kinds of work compare that are timed in turn.

    seconds(lambda: anatomy.run(token_ids, drop), loaded.device)
    dense, pruned = in_turn(read_dense, read_pruned, loaded.device, repeats=9)
    Speed.of(dense, pruned).times            # how many times as fast the pruned model is

Machines share their processors and change their clock, so seconds measured minutes apart do not compare. What is to be
compared is therefore timed in turn, within one piece of work, and only the ratio of neighbours is trusted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch


def seconds(
    run: Callable[[], object], device: torch.device, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Seconds that one call takes. An accelerator's queue is drained before and after, as calls only fill it."""
    _drain(device)
    started = clock()
    run()
    _drain(device)
    return clock() - started


def in_turn(
    first: Callable[[], object],
    second: Callable[[], object],
    device: torch.device,
    repeats: int,
    *,
    between: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Seconds of two kinds of work that are done in turn, ``repeats`` times each, after one untimed round.

    Which of the two begins changes from round to round, so that a machine that becomes slower or faster favours
    neither.

    Args:
        between: called after each round, and not timed; it may raise to stop.
        clock: seconds, monotonic.

    Returns:
        the seconds of the first and of the second, round by round.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(repeats + 1):
        for which in (0, 1) if number % 2 else (1, 0):
            spent = seconds((first, second)[which], device, clock)
            if number:  # in the first round memory is still being set aside
                times[which].append(spent)
        between()
    return tuple(times[0]), tuple(times[1])


@dataclass(frozen=True)
class Speed:
    """How many times as fast one kind of work was as another that was timed in turn with it.

    Attributes:
        times: the median over rounds of the other's seconds divided by its own; above 1 where it was faster.
        low, high: the first and third quartile of these ratios: half of the rounds lie between them.
        repeats: how many rounds there were.
    """

    times: float
    low: float
    high: float
    repeats: int

    @classmethod
    def of(cls, base: Sequence[float] | np.ndarray, own: Sequence[float] | np.ndarray) -> Speed:
        """Of the seconds that :func:`in_turn` gives, at least one round."""
        ratios = np.asarray(base, dtype=float) / np.asarray(own, dtype=float)
        low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
        return cls(float(middle), float(low), float(high), len(ratios))

    @property
    def differs(self) -> bool:
        """Whether more than three quarters of the rounds were on the same side of equally fast."""
        return self.low > 1 or self.high < 1

    def to_json(self) -> dict[str, float]:
        """Plain data: times, low, high, repeats."""
        return {"times": self.times, "low": self.low, "high": self.high, "repeats": self.repeats}


def _drain(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
