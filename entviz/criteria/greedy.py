"""Greedy elimination: repeatedly drop the block that costs least, given the blocks already dropped."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from entviz.blocks import Block, PruneSet
from entviz.criteria.criterion import Criterion
from entviz.progress import Progress, silent

if TYPE_CHECKING:
    from entviz.criteria.calibration import Calibration
    from entviz.criteria.candidates import Candidates
    from entviz.criteria.cost_model import CostModel
    from entviz.criteria.ranking import Ranking


@dataclass(frozen=True)
class GreedyByLoss(Criterion):
    """At each step drop the block that raises the loss least (SLEB, Song et al. 2024, algorithm 1)."""

    name = "sleb"
    title = "Greedy by loss (SLEB)"
    short_title = "Greedy by loss"
    source = "Song et al. 2024, arXiv:2402.09025"
    level = "layer"
    needs = "trials"
    order = "smaller"
    score_title = "Loss once the block was dropped too"
    score_unit = "nats a token"
    cost: ClassVar[str] = "nll"

    def rank(self, calibration: Calibration, candidates: Candidates, progress: Progress = silent) -> Ranking:
        budget, free = candidates.budget, candidates.free
        at_most = int(budget.amount) if budget.unit == "blocks" else len(free)
        chosen, costs = greedy(
            calibration.cost_model(self.cost), free, at_most, enough=candidates.enough, progress=progress
        )
        candidates.reach(PruneSet(chosen))
        paid = {str(block): cost for block, cost in zip(chosen, costs, strict=True)}
        return candidates.whole(self.name, chosen, paid)

    def evaluations(self, blocks: int, largest: int) -> int:
        return sum(max(0, blocks - step) for step in range(largest))


@dataclass(frozen=True)
class GreedyByDivergence(GreedyByLoss):
    """At each step drop the block that changes predictions least (FinerCut, Zhang et al. 2024, algorithm 1)."""

    name = "finercut"
    title = "Greedy by divergence (FinerCut)"
    short_title = "Greedy by divergence"
    source = "Zhang et al. 2024, arXiv:2405.18218"
    level = "attn+mlp"
    score_title = "KL from dense once the block was dropped too"
    score_unit = "nats"
    cost = "kl"


def greedy(
    cost_model: CostModel,
    blocks: Sequence[Block],
    budget: int,
    *,
    enough: Callable[[PruneSet], bool] = lambda drop: False,
    progress: Progress = silent,
) -> tuple[list[Block], list[float]]:
    """Repeatedly drop the block that costs least, given the blocks already dropped, until ``budget`` are dropped.

    A candidate that would leave no block in the model is skipped. ``enough`` can end the elimination earlier.

    Returns:
        the blocks in the order in which they were dropped, and the cost (nats a token) of the prune set after each.

    Raises:
        ModelError: if the model overflows whichever block is dropped next.
    """
    order: list[Block] = []
    costs: list[float] = []
    drop = PruneSet()
    steps = sum(len(blocks) - done for done in range(budget)) * cost_model.window_count
    finished = 0
    while len(order) < budget and not enough(drop):
        grown = {block: drop | PruneSet([block]) for block in blocks if block not in drop}
        candidates = [block for block in grown if grown[block].leaves_something(cost_model.loaded.layers)]
        if not candidates:
            break

        def report(done: int, total: int, partial: object = None, /, finished: int = finished) -> None:
            progress(finished + done, max(steps, finished + total))

        sets = [grown[block] for block in candidates]
        found = cost_model.costs(sets, cost_model.window_count, report).mean(axis=1)
        finished += len(candidates) * cost_model.window_count
        best = int(found.argmin())  # the cost is infinite if the pruned model overflows
        if not math.isfinite(found[best]):
            raise cost_model.cause(sets[best])
        order.append(candidates[best])
        costs.append(float(found[best]))
        drop = sets[best]
    return order, costs
