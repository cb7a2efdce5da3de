"""An anytime search for the prune set that changes the model's predictions least.

    found = search(trial, blocks, lambda drop: len(drop) >= 8, seeds=[ranking.drop for ranking in rankings])
    found.drop, found.cost

Prune sets are judged by KL(dense || pruned) on calibration text, cheaply at first: candidates race on a few windows,
and only those that do well are tried on more (successive halving, Jamieson & Talwalkar 2016). The stages:

1. *Seeds*: the sets that other criteria choose, so that the result is never worse than theirs on this text.
2. *Greedy*: grow a set block by block from nothing, always by the block that costs least.
3. *Swaps*: put one dropped block back and drop another instead, as long as that helps. Which blocks to take instead
   first is read off the damage that each does alone.
4. *Beam*: grow again, keeping the few best of each size, which finds a set whose value shows only two blocks later;
   then swaps on what that found.
5. *Finals*: the best few are measured again, on all windows and in full precision, and the best of them is the answer.

How many windows the races end on follows from how fast the machine turns out to be, so that the greedy stage is done
in less than half of the time. All candidates of a race share the layers before they differ
(:mod:`entviz.evaluation.many`). The search can be stopped at any time: every report carries the best set so far.
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
_GREEDY_SHARE = 0.4  # of the time, for growing the first set
_FINALS_SHARE = 0.1  # of the time, kept for measuring the best few again


@dataclass(frozen=True)
class Found:
    """The best prune set of a search so far.

    Attributes:
        drop: the prune set.
        cost: its mean cost (nats a token) over the windows it was tried on; over all of them once the search has ended.
        stage: what the search was doing when it found it: seeds, greedy, swaps or beam.
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
        self.deadline = (1 - _FINALS_SHARE) * seconds
        self.windows = trial.window_count  # that races end on
        self.damage: dict[Block, float] = {}
        self.ranked: list[Found] = []  # the best sets so far that are enough, best first
        self.seed: PruneSet | None = None  # the best of those given
        self.stage = "seeds"

    @property
    def best(self) -> Found | None:
        return self.ranked[0] if self.ranked else None

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.started

    def report(self, done: int = 0, total: int = 0, partial: object = None, /) -> None:
        self.progress(int(min(self.spent, self.seconds) * 10), int(self.seconds * 10), self.best)
        if self.spent > self.deadline and self.best is not None:
            raise _OutOfTime

    def race(self, candidates: Sequence[PruneSet], keep: int) -> list[tuple[float, PruneSet]]:
        """The ``keep`` best candidates with their cost on the windows that races end on, best first."""
        alive = list(dict.fromkeys(candidates))
        for windows, following in pairwise([*_rungs(self.windows), 0]):
            costs = self.trial.costs(alive, windows, self.report).mean(axis=1)
            ranks = np.argsort(costs, kind="stable")
            if not following:
                return [(float(costs[place]), alive[place]) for place in ranks[:keep]]
            survivors = max(keep + 1, -(-len(alive) // 4))
            alive = [alive[place] for place in ranks[:survivors]]
        raise AssertionError("a race has at least one rung")

    def consider(self, ranked: Sequence[tuple[float, PruneSet]]) -> None:
        """Remember those of ``ranked`` that are large enough, if they are among the best so far."""
        known = {found.drop for found in self.ranked}
        for cost, drop in ranked:
            if self.enough(drop) and drop not in known:
                self.ranked.append(Found(drop, cost, self.stage, self.trial.evaluated, self.spent))
        self.ranked = sorted(self.ranked, key=lambda found: found.cost)[:_FINALISTS]

    def seeds(self, seeds: Sequence[PruneSet]) -> None:
        fitting = [seed for seed in seeds if self.enough(seed)]
        self.consider(self.race(fitting or [self._first()], _FINALISTS))
        self.seed = self.ranked[0].drop

    def _first(self) -> PruneSet:
        """The last blocks, as many as are enough."""
        sets = (PruneSet(self.blocks[-count:]) for count in range(1, len(self.blocks) + 1))
        return next(filter(self.enough, sets), PruneSet(self.blocks))

    def try_each(self) -> None:
        """The damage of each block alone; its time tells how many windows races can afford to end on."""
        before, began = self.trial.evaluated, self.spent
        few = _rungs(self.windows)[0]
        alone = self.trial.costs([PruneSet([block]) for block in self.blocks], few, self.report)
        self.damage = dict(zip(self.blocks, alone.mean(axis=1), strict=True))
        each = (self.spent - began) / max(1, self.trial.evaluated - before)
        affordable = _GREEDY_SHARE * self.seconds / max(each, 1e-9)
        while self.windows > 1 and self._greedy_steps(self.windows) > affordable:
            self.windows = max(1, self.windows // 2)
        # Costs on different windows do not compare.
        tried = [found.drop for found in self.ranked]
        self.ranked = []
        self.consider(self.race(tried, _FINALISTS))

    def _greedy_steps(self, windows: int) -> int:
        """Prune sets times windows that growing one set takes."""
        steps = 0
        size = sum(block in self.ranked[0].drop for block in self.blocks)
        for done in range(size):
            alive, before = len(self.blocks) - done, 0
            for rung in _rungs(windows):
                steps += alive * (rung - before)
                alive, before = max(2, -(-alive // 4)), rung
        return steps

    def grow(self, stage: str, width: int) -> None:
        """Grow sets block by block, keeping the ``width`` best of each size."""
        self.stage = stage
        beam = [PruneSet()]
        while beam:
            children = [
                drop | PruneSet([block]) for drop in beam for block in self.blocks if block not in drop
            ]
            children = [child for child in children if self._leaves_something(child)]
            if not children:
                return
            ranked = self.race(children, width)
            self.consider(ranked)
            beam = [drop for _, drop in ranked if not self.enough(drop)]

    def swaps(self) -> None:
        """Swap blocks of the best set until no swap on the list helps."""
        self.stage = "swaps"
        while self.best is not None:
            before = self.best.drop
            inside = [block for block in self.blocks if block in before]
            # With a block put back, what is left is a smaller set; those that gain most by it are worth refilling.
            smaller = self.race([before - PruneSet([block]) for block in inside], _FINALISTS)
            self.consider(smaller)  # among blocks of different sizes, the smaller set may be large enough
            outside = sorted(
                (block for block in self.blocks if block not in before), key=lambda block: self.damage[block]
            )
            candidates = [drop | PruneSet([block]) for _, drop in smaller for block in outside]
            candidates = [drop for drop in candidates if self._leaves_something(drop)]
            if not candidates:
                return
            self.consider(self.race(candidates, _FINALISTS))
            if self.best.drop == before:
                return

    def finals(self, exact: Trial) -> Found:
        """The best of the finalists and the best seed on all windows, one after the other while there is time."""
        if self.best is None:
            raise RuntimeError("the search has not looked at its seeds yet")
        finalists = list(self.ranked)
        if self.seed is not None and self.seed not in {found.drop for found in finalists}:
            finalists.insert(1, Found(self.seed, np.inf, "seeds", 0, 0.0))
        self.deadline = self.seconds
        measured: list[Found] = []
        try:
            for found in finalists:
                cost = float(exact.costs([found.drop], exact.window_count, self.report).mean())
                measured.append(replace(found, cost=cost))
        except _OutOfTime:
            pass
        best = min(measured, key=lambda found: found.cost) if measured else self.best
        evaluated = self.trial.evaluated + (exact.evaluated if exact is not self.trial else 0)
        return replace(best, evaluated=evaluated, seconds=self.spent)

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
    exact: Trial | None = None,
    progress: Progress = silent,
) -> Found:
    """Search for the set of some of ``blocks`` with the lowest cost in ``trial`` that drops enough of the model.

    Args:
        enough: tells whether a set does; never of the empty set, and always of a larger set where of a smaller one.
        seeds: sets to start from; the result costs no more than the best of those that are enough, as far as there is
            time to measure both at the end.
        seconds: stop about then; the seeds are finished in any case.
        exact: where the best few are measured at the end, if not in ``trial``, which may then be of a faster number
            type.
        progress: gets the best :class:`Found` so far; raising ``Cancelled`` from it ends the search without a result,
            but the last report's partial result stands.

    Returns:
        the best set found, with its cost on all windows.
    """
    state = _Search(trial, blocks, enough, seconds, progress)
    try:
        state.seeds(seeds)
        state.try_each()
        state.grow("greedy", 1)
        state.swaps()
        state.grow("beam", _BEAM)
        state.swaps()
    except _OutOfTime:
        pass
    return state.finals(exact if exact is not None else trial)


def _rungs(windows: int) -> list[int]:
    """How many windows the rounds of a race are run on, up to ``windows``: each four times as many as the last."""
    rungs = [windows]
    while rungs[0] > 3:
        rungs.insert(0, rungs[0] // 4)
    return rungs
