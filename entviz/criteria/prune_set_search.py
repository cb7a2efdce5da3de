"""An anytime search for the prune set with the lowest cost.

    found = search(cost_model, blocks, lambda drop: len(drop) >= 8, seeds=[ranking.drop for ranking in rankings])
    found.drop, found.cost

Prune sets are judged by their cost on calibration text; the cost model says whether that is the loss, KL(dense ||
pruned) or their sum. Trying a set takes seconds, so most sets are not tried. The cost that a block adds to a set is
seldom much less than the cost it added to an earlier, smaller set, so the earlier cost serves as an optimistic
estimate. Candidates are tried in order of their estimates until the best result beats all remaining estimates (lazy
evaluation, as in Minoux 1978 for greedy choice; the rule is not strict here, so estimates are lowered). The stages:

1. *Seeds*: the sets that other criteria choose, so that the result is never worse than theirs on this text.
2. *Greedy*: start with no block dropped and always add the block that costs least. If a cheaper set of the same size
   is known, for example from a search for a smaller budget, continue from that.
3. *Swaps*: put one dropped block back and drop another instead, as long as that lowers the cost. This is the level
   switch of EvoPress (Sieberling et al. 2024, arXiv 2410.14649), in order of the estimates and not at random.
4. *Beam*: grow again, keeping the few best sets of each size, which finds sets that pay off only two blocks later;
   then swap blocks of the result. While sets were not yet tried on all windows, this stage repeats with twice as many
   windows. It then repeats with lower estimates, and finally without estimates, to use the time that is left.
5. *Finals*: the best few sets are measured again on all windows in the exact number type, and the best is the result.

The number of windows depends on the measured speed of the machine, so that the greedy stage takes less than half of
the time. Sets that are tried together share all layers before the first difference (:mod:`entviz.evaluation.many`).
The search can be stopped at any time: every report carries the best set so far.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from entviz.blocks import Block, PruneSet
from entviz.criteria.cost_model import CostModel
from entviz.criteria.search_result import Finals, SearchResult
from entviz.progress import Progress, silent

_BEAM = 3
_TOGETHER = 4  # candidates tried at a time, which share layers; more would be tried in vain
# The estimate for a block is this fraction of the cost it added to the last set it was tried with. There is one
# fraction for each round; in the last round everything is tried.
_COUNTED = (0.75, 0.4, -1e9)
_OVERFLOWS = 1e9  # nats, what a set costs without which the model overflows: more than any other
_TRIES_A_STEP = 8  # about how many candidates a step of the greedy stage tries
_GREEDY_SHARE = 0.4  # of the time, for growing the first set


class _OutOfTime(Exception):
    """The time limit is reached; the best result so far is valid."""


class _Search:
    def __init__(
        self,
        cost_model: CostModel,
        blocks: Sequence[Block],
        enough: Callable[[PruneSet], bool],
        seconds: float,
        finals: Finals,
        progress: Progress,
    ) -> None:
        self.cost_model, self.blocks, self.enough, self.progress = cost_model, list(blocks), enough, progress
        self.started, self.seconds = time.perf_counter(), seconds
        self.finals, self.deadline = finals, (1 - finals.share) * seconds
        self.few = max(1, cost_model.window_count // 4)
        self.windows = self.few  # that sets are tried on
        self.cost = self._known(self.few)  # on these windows
        self.run_before = cost_model.tried.evaluated
        self.added: dict[Block, float] = {}  # to the cost of the last set that the block was tried with
        self.ranked: list[SearchResult] = []  # the best sets so far that are enough, best first
        self.seed: PruneSet | None = None  # the best of those given
        self.counted = _COUNTED[0]
        self.stage = "seeds"

    @property
    def best(self) -> SearchResult | None:
        return self.ranked[0] if self.ranked else None

    @property
    def evaluated(self) -> int:
        """The number of runs in this search, counted as prune sets times windows."""
        return self.cost_model.tried.evaluated - self.run_before

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.started

    def report(self, done: int = 0, total: int = 0, partial: object = None, /) -> None:
        self.progress(int(min(self.spent, self.seconds) * 10), int(self.seconds * 10), self.best)
        if self.spent > self.deadline and self.best is not None:
            raise _OutOfTime

    def try_sets(self, drops: Sequence[PruneSet]) -> list[tuple[float, PruneSet]]:
        """The sets with their costs, cheapest first. The best sets that drop enough are remembered."""
        drops = list(dict.fromkeys(drops))
        costs = self.cost_model.costs(drops, self.windows, self.report).mean(axis=1)
        # With an infinite cost, differences between costs would be NaN.
        self.cost |= {drop: min(float(cost), _OVERFLOWS) for drop, cost in zip(drops, costs, strict=True)}
        known = {found.drop for found in self.ranked}
        self.ranked += [
            SearchResult(drop, self.cost[drop], self.stage, self.evaluated, self.spent)
            for drop in drops
            if self.enough(drop) and drop not in known
        ]
        self.ranked = sorted(self.ranked, key=lambda found: found.cost)[: self.finals.most]
        return sorted(((self.cost[drop], drop) for drop in drops), key=lambda pair: pair[0])

    def cheapest(
        self, bases: Sequence[PruneSet], keep: int, below: float = math.inf
    ) -> list[tuple[float, PruneSet]]:
        """About the ``keep`` cheapest sets that add one block to a set in ``bases`` and cost less than ``below``."""
        left = {
            base | PruneSet([block]): (base, block)
            for base in bases
            for block in self.blocks
            if block not in base
        }
        left = {
            child: parts
            for child, parts in left.items()
            if child.leaves_something(self.cost_model.loaded.layers)
        }

        def estimates(child: PruneSet) -> tuple[float, float]:
            """An optimistic estimate of the cost, and the cost if the block adds as much as it added last time."""
            base, block = left[child]
            added = self.added[block]
            least = min(added, self.counted * abs(added))
            return self.cost[base] + least, self.cost[base] + added

        found: list[tuple[float, PruneSet]] = []
        chosen = [child for child in left if child in self.cost]  # costs nothing to try again
        while left:
            if not chosen:
                bar = found[keep - 1][0] if len(found) >= keep else math.inf
                promising = sorted(left, key=estimates)[:_TOGETHER]
                chosen = [child for child in promising if estimates(child)[0] < min(bar, below)]
            if not chosen:
                break
            for cost, child in self.try_sets(chosen):
                base, block = left.pop(child)
                self.added[block] = cost - self.cost[base]
                found.append((cost, child))
            found.sort(key=lambda pair: pair[0])
            chosen = []
        return found[:keep]

    def seeds(self, seeds: Sequence[PruneSet]) -> None:
        self.try_sets([seed for seed in seeds if self.enough(seed)] or [self._first()])
        self.seed = self.ranked[0].drop

    def _first(self) -> PruneSet:
        """The smallest number of last blocks that drops enough."""
        sets = (PruneSet(self.blocks[-count:]) for count in range(1, len(self.blocks) + 1))
        return next(filter(self.enough, sets), PruneSet(self.blocks))

    def try_each(self) -> None:
        """Measure the cost of each block alone; the time this takes decides how many windows there is time for."""
        alone = [PruneSet([block]) for block in self.blocks]
        self.try_sets([PruneSet(), *alone])
        self.added = {
            block: self.cost[drop] - self.cost[PruneSet()]
            for block, drop in zip(self.blocks, alone, strict=True)
        }
        each = self.cost_model.tried.seconds / max(1, self.cost_model.tried.evaluated)
        size = max(self._size(found.drop) for found in self.ranked)
        affordable = _GREEDY_SHARE * self.seconds / max(each, 1e-9) / (_TRIES_A_STEP * max(1, size))
        windows = self.cost_model.window_count
        while windows > self.few and windows > affordable:
            windows = max(self.few, windows // 2)
        self.judge_by(windows)

    def judge_by(self, windows: int) -> None:
        """Try sets on ``windows`` windows from now on."""
        remembered = self.ranked
        # Costs on different windows cannot be compared, so the remembered sets are measured again.
        self.windows, self.cost, self.ranked = windows, self._known(windows), []
        self.try_sets([PruneSet(), *filter(self.enough, self.cost), *(found.drop for found in remembered)])
        stages = {found.drop: found.stage for found in remembered}
        self.ranked = [replace(found, stage=stages.get(found.drop, found.stage)) for found in self.ranked]

    def grow(self, stage: str, width: int) -> None:
        """Grow sets block by block, keeping the ``width`` best sets of each size, from any stage."""
        self.stage = stage
        beam, size = [PruneSet()], 0
        while beam:
            grown = [drop for _, drop in self.cheapest(beam, width)]
            size += 1
            # Swaps, or a search for a smaller budget, may have found other sets of this size.
            others = [drop for drop in self.cost if self._size(drop) == size and not self.enough(drop)]
            best = heapq.nsmallest(width, {*grown, *others}, key=lambda drop: self.cost[drop])
            beam = [drop for drop in best if not self.enough(drop)]

    def _known(self, windows: int) -> dict[PruneSet, float]:
        """The known costs of sets of these blocks on this number of windows, including those of earlier searches."""
        known = self.cost_model.known(windows).items()
        return {
            drop: min(cost, _OVERFLOWS)
            for drop, cost in known
            if drop == PruneSet(b for b in self.blocks if b in drop)
        }

    def _size(self, drop: PruneSet) -> int:
        return sum(block in drop for block in self.blocks)

    def swaps(self) -> None:
        """Swap blocks of the best set until no promising swap lowers the cost."""
        self.stage = "swaps"
        while self.best is not None:
            before = self.best
            inside = [block for block in self.blocks if block in before.drop]
            # If blocks differ in size, the set with one block less may already drop enough.
            smaller = [drop for _, drop in self.try_sets([before.drop - PruneSet([one]) for one in inside])]
            self.cheapest(smaller, 1, below=before.cost)
            if self.best.drop == before.drop:
                return

    def measure_finals(self, exact: CostModel) -> SearchResult:
        """Measure the finalists and the best seed on all windows, while time remains, and return the best."""
        if self.best is None:
            raise RuntimeError("the search has not looked at its seeds yet")
        finalists = list(self.ranked)
        if self.seed is not None and self.seed not in {found.drop for found in finalists}:
            finalists.insert(1, SearchResult(self.seed, math.inf, "seeds", 0, 0.0))
        self.deadline = self.seconds
        exact_before = exact.tried.evaluated
        measured: list[SearchResult] = []
        try:
            for found in finalists:
                cost = float(exact.costs([found.drop], exact.window_count, self.report).mean())
                measured.append(replace(found, cost=cost))
        except _OutOfTime:
            pass
        best = min(measured, key=lambda found: found.cost) if measured else self.best
        if not best.cost < _OVERFLOWS:
            raise exact.cause(best.drop)
        also = 0 if exact.tried is self.cost_model.tried else exact.tried.evaluated - exact_before
        return replace(best, evaluated=self.evaluated + also, seconds=self.spent)


def search(
    cost_model: CostModel,
    blocks: Sequence[Block],
    enough: Callable[[PruneSet], bool],
    *,
    seeds: Sequence[PruneSet] = (),
    seconds: float = 120.0,
    exact: CostModel | None = None,
    finals: Finals | None = None,
    progress: Progress = silent,
) -> SearchResult:
    """Search for the subset of ``blocks`` with the lowest cost in ``cost_model`` that drops enough of the model.

    Args:
        enough: whether a set drops enough. It is false for the empty set; if it is true for a set, it is true for every
            larger set that contains it.
        seeds: sets to start from. The result costs no more than the best seed that drops enough, provided that there is
            time to measure both at the end.
        seconds: the approximate time limit; the seeds are always finished.
        exact: the cost model for the final measurement, if not ``cost_model``, which can then use a faster number type,
            or a repair that is fitted sooner.
        finals: how the final measurement is done; None for the usual.
        progress: receives the best :class:`SearchResult` so far. Raising ``Cancelled`` from it ends the search without
            a result, but the partial result of the last report is valid.

    Returns:
        the best set found, with its cost on all windows.

    Raises:
        ModelError: if the model overflows without the best set found, and so without every other set.
    """
    finals = Finals() if finals is None else finals
    state = _Search(cost_model, blocks, enough, seconds, finals, progress)
    try:
        state.seeds(seeds)
        state.try_each()
        state.grow("greedy", 1)
        state.swaps()
        while True:
            state.grow("beam", _BEAM)
            state.swaps()
            if state.windows == cost_model.window_count:
                break
            state.judge_by(min(2 * state.windows, cost_model.window_count))
        for state.counted in _COUNTED[1:]:
            state.grow("beam", _BEAM)
            state.swaps()
    except _OutOfTime:
        pass
    return state.measure_finals(exact if exact is not None else cost_model)
