"""An anytime search for the prune set that changes the model's predictions least.

    enough = lambda drop: len(drop) >= 8
    found = search(trial, blocks, enough, seeds=[ranking.drop for ranking in rankings], seconds=120)
    found.drop, found.cost

Prune sets are judged by KL(dense || pruned) on calibration text, cheaply at first: candidates race on a few windows,
and only those that do well are tried on more (successive halving, Jamieson & Talwalkar 2016). Three stages:

1. *Seeds*: the sets that other criteria choose, so that the result is never worse than theirs on this text.
2. *Beam*: grow sets block by block from nothing until they are large enough, keeping the few best of each step. One
   beam is greedy elimination; several keep a set whose value shows only two blocks later.
3. *Swaps*: put one dropped block back and drop another instead, as long as that helps. Which swaps to try first is
   read off the damage that blocks did in the races so far.

All candidates of a race share the layers before they differ (:mod:`entviz.evaluation.many`). The search can be
stopped at any time: every report carries the best set so far.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from entviz.blocks import Block, PruneSet
from entviz.progress import Progress, silent
from entviz.pruning.trial import Trial

_BEAM = 3
_FINALISTS = 4


@dataclass(frozen=True)
class Found:
    """The best prune set of a search so far.

    Attributes:
        drop: the prune set.
        cost: its mean cost over all windows of the trial (nats a token).
        stage: what the search was doing: seeds, beam or swaps.
        evaluated: prune sets times windows that were run for it.
        seconds: how long it took.
    """

    drop: PruneSet
    cost: float
    stage: str
    evaluated: int
    seconds: float


class _OutOfTime(Exception):
    """The time given is used up; what was found stands."""


class _Search:
    def __init__(
        self,
        trial: Trial,
        blocks: Sequence[Block],
        enough: Callable[[PruneSet], bool],
        seconds: float,
        progress: Progress,
    ) -> None:
        self.trial, self.blocks, self.enough, self.progress = trial, list(blocks), enough, progress
        self.started, self.seconds = time.perf_counter(), seconds
        self.best: Found | None = None
        self.stage = "seeds"

    def report(self, done: int = 0, total: int = 0, partial: object = None, /) -> None:
        spent = time.perf_counter() - self.started
        self.progress(int(min(spent, self.seconds) * 10), int(self.seconds * 10), self.best)
        if spent > self.seconds and self.best is not None:
            raise _OutOfTime

    def race(self, candidates: Sequence[PruneSet], keep: int) -> list[tuple[float, PruneSet]]:
        """The ``keep`` best candidates with their cost on all windows, best first."""
        alive = list(dict.fromkeys(candidates))
        rungs = _rungs(self.trial.window_count)
        for windows, following in pairwise([*rungs, 0]):
            costs = self.trial.costs(alive, windows, self.report).mean(axis=1)
            ranks = np.argsort(costs, kind="stable")
            if not following:
                return [(float(costs[place]), alive[place]) for place in ranks[:keep]]
            survivors = max(keep + 1, -(-len(alive) // 4))
            alive = [alive[place] for place in ranks[:survivors]]
        raise AssertionError("a trial has at least one window")

    def result(self) -> Found:
        """The best set, with what the whole search took. There is one once the seeds are done."""
        if self.best is None:
            raise RuntimeError("the search has not looked at its seeds yet")
        return replace(self.best, evaluated=self.trial.evaluated, seconds=time.perf_counter() - self.started)

    def consider(self, ranked: Sequence[tuple[float, PruneSet]]) -> None:
        """Keep the best of ``ranked`` if it is large enough and the best so far."""
        for cost, drop in ranked:
            if self.enough(drop) and (self.best is None or cost < self.best.cost):
                spent = time.perf_counter() - self.started
                self.best = Found(drop, cost, self.stage, self.trial.evaluated, spent)

    def seeds(self, seeds: Sequence[PruneSet]) -> None:
        self.consider(self.race([seed for seed in seeds if self.enough(seed)] or [self._first()], _FINALISTS))

    def _first(self) -> PruneSet:
        """The last blocks, as many as are enough."""
        sets = (PruneSet(self.blocks[-count:]) for count in range(1, len(self.blocks) + 1))
        return next(filter(self.enough, sets), PruneSet(self.blocks))

    def beam(self) -> None:
        self.stage = "beam"
        beam = [PruneSet()]
        while beam:
            children = [
                drop | PruneSet([block]) for drop in beam for block in self.blocks if block not in drop
            ]
            children = [child for child in children if self._leaves_something(child)]
            if not children:
                return
            ranked = self.race(children, _BEAM)
            self.consider(ranked)
            beam = [drop for _, drop in ranked if not self.enough(drop)]

    def swaps(self) -> None:
        """Swap blocks of the best set until no swap on the list helps."""
        self.stage = "swaps"
        alone = self.trial.costs(
            [PruneSet([block]) for block in self.blocks], _rungs(self.trial.window_count)[0], self.report
        )
        damage = dict(zip(self.blocks, alone.mean(axis=1), strict=True))
        while self.best is not None:
            before = self.best.drop
            inside = [block for block in self.blocks if block in before]
            # With a block put back, what is left is a smaller set; those that gain most by it are worth refilling.
            smaller = self.race([before - PruneSet([block]) for block in inside], _FINALISTS)
            self.consider(smaller)  # among blocks of different sizes, the smaller set may be large enough
            outside = sorted(
                (block for block in self.blocks if block not in before), key=lambda block: damage[block]
            )
            candidates = [drop | PruneSet([block]) for _, drop in smaller for block in outside]
            candidates = [drop for drop in candidates if self._leaves_something(drop)]
            if not candidates:
                return
            self.consider(self.race(candidates, _FINALISTS))
            if self.best.drop == before:
                return

    def _leaves_something(self, drop: PruneSet) -> bool:
        layers = self.trial.loaded.layers
        return len(drop.attention) < layers or len(drop.mlp) < layers


def search(
    trial: Trial,
    blocks: Sequence[Block],
    enough: Callable[[PruneSet], bool],
    *,
    seeds: Sequence[PruneSet] = (),
    seconds: float = 120.0,
    progress: Progress = silent,
) -> Found:
    """Search for the set of some of ``blocks`` with the lowest cost in ``trial`` that drops enough of the model.

    Args:
        enough: tells whether a set does; never of the empty set, and always of a larger set where of a smaller one.
        seeds: sets to start from; the result costs no more than the best of those that are enough.
        seconds: stop about then; the seeds are finished in any case.
        progress: gets the best :class:`Found` so far; raising ``Cancelled`` from it ends the search without a result,
            but the last report's partial result stands.

    Returns:
        the best set found, with its cost on all windows of the trial.
    """
    state = _Search(trial, blocks, enough, seconds, progress)
    try:
        state.seeds(seeds)
        state.beam()
        state.swaps()
    except _OutOfTime:
        pass
    return state.result()


def _rungs(windows: int) -> list[int]:
    """How many windows the rounds of a race are run on: a quarter of them, then all."""
    few = max(1, windows // 4)
    return [few, windows] if few < windows else [windows]
