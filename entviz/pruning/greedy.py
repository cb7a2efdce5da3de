"""Criteria that try what dropping a block does: leaving each one out, and greedy elimination.

damage = leave_one_out(trial, blocks)             # what each block costs on its own
order, costs = greedy(trial, blocks, budget=8)    # the cheapest next block, eight times
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from entviz.blocks import Block, PruneSet
from entviz.progress import Progress, silent
from entviz.pruning.trial import Trial


def leave_one_out(
    trial: Trial, blocks: Sequence[Block], *, progress: Progress = silent
) -> dict[Block, float]:
    """The mean cost (nats a token) of dropping each block alone, on all of the trial's windows.

    It is infinite for a block without which the model overflows. Raises ``ModelError`` where it does so without any.
    """
    costs = trial.costs([PruneSet([block]) for block in blocks], trial.window_count, progress)
    if len(costs) and not np.isfinite(costs).all(axis=1).any():
        raise trial.cause(PruneSet([blocks[0]]))
    return dict(zip(blocks, (float(cost) for cost in costs.mean(axis=1)), strict=True))


def greedy(
    trial: Trial,
    blocks: Sequence[Block],
    budget: int,
    *,
    enough: Callable[[PruneSet], bool] = lambda drop: False,
    progress: Progress = silent,
) -> tuple[list[Block], list[float]]:
    """Drop the block whose loss costs least, given those already dropped; again until ``budget`` are gone.

    With a trial by loss at level layer this is SLEB (Song et al. 2024, algorithm 1); by divergence from the dense
    model over attentions and MLPs it is FinerCut (Zhang et al. 2024, algorithm 1). A candidate that would leave
    nothing of the model is passed over. ``enough`` may end it before the budget.

    Returns:
        the blocks in the order in which they went, and the cost (nats a token) of the prune set after each.

    Raises:
        ModelError: where the model overflows whichever block goes next.
    """
    order: list[Block] = []
    costs: list[float] = []
    drop = PruneSet()
    steps = sum(len(blocks) - done for done in range(budget)) * trial.window_count
    finished = 0
    while len(order) < budget and not enough(drop):
        grown = {block: drop | PruneSet([block]) for block in blocks if block not in drop}
        candidates = [block for block in grown if grown[block].leaves_something(trial.loaded.layers)]
        if not candidates:
            break

        def report(done: int, total: int, partial: object = None, /, finished: int = finished) -> None:
            progress(finished + done, max(steps, finished + total))

        sets = [grown[block] for block in candidates]
        found = trial.costs(sets, trial.window_count, report).mean(axis=1)
        finished += len(candidates) * trial.window_count
        best = int(found.argmin())  # one without which the model overflows costs infinitely much
        if not math.isfinite(found[best]):
            raise trial.cause(sets[best])
        order.append(candidates[best])
        costs.append(float(found[best]))
        drop = sets[best]
    return order, costs
