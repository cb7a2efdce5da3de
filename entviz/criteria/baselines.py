"""Baselines that use neither the model nor the text: the last blocks, and random blocks."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from entviz.criteria.criterion import Criterion
from entviz.progress import Progress, silent

if TYPE_CHECKING:
    from entviz.criteria.calibration import Calibration
    from entviz.criteria.candidates import Candidates
    from entviz.criteria.ranking import Ranking


@dataclass(frozen=True)
class Last(Criterion):
    """The deepest block first."""

    name = "last"
    title = "The last blocks"
    short_title = "Last"
    source = "a baseline"
    needs = "nothing"

    def rank(self, calibration: Calibration, candidates: Candidates, progress: Progress = silent) -> Ranking:
        return candidates.in_order(self.name, tuple(reversed(candidates.free)))


@dataclass(frozen=True)
class Random(Criterion):
    """Blocks in random order.

    Args:
        seed: the seed of the random order.
    """

    seed: int = 0

    name = "random"
    title = "Random"
    short_title = "Random"
    source = "a baseline"
    needs = "nothing"

    def rank(self, calibration: Calibration, candidates: Candidates, progress: Progress = silent) -> Ranking:
        order = list(reversed(candidates.free))
        random.Random(self.seed).shuffle(order)
        return candidates.in_order(self.name, order)
