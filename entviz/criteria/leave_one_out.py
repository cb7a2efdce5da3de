"""Leave-one-out: drop the blocks that cost least when dropped alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from entviz.blocks import Block, PruneSet
from entviz.criteria.criterion import Criterion
from entviz.progress import Progress, silent

if TYPE_CHECKING:
    from entviz.criteria.calibration import Calibration
    from entviz.criteria.candidates import Candidates
    from entviz.criteria.cost_model import CostModel
    from entviz.criteria.ranking import Ranking


@dataclass(frozen=True)
class LeaveOneOut(Criterion):
    """Drop the block first that raises the loss least when it is dropped alone."""

    name = "leave-one-out"
    title = "Leave-one-out loss"
    short_title = "Leave-one-out"
    source = "the damage of each block alone"
    needs = "trials"
    score_title = "Loss without the block alone"
    score_unit = "nats a token"

    def rank(self, calibration: Calibration, candidates: Candidates, progress: Progress = silent) -> Ranking:
        damage = leave_one_out(calibration.cost_model("nll"), candidates.free, progress=progress)
        return candidates.by_score(self.name, {str(block): cost for block, cost in damage.items()})

    def evaluations(self, blocks: int, largest: int) -> int:
        return blocks


def leave_one_out(
    cost_model: CostModel, blocks: Sequence[Block], *, progress: Progress = silent
) -> dict[Block, float]:
    """The mean cost (nats a token) of dropping each block alone, on all of the cost model's windows.

    The cost is infinite for a block without which the model overflows. Raises ``ModelError`` if the model overflows
    without any one of the blocks.
    """
    costs = cost_model.costs([PruneSet([block]) for block in blocks], cost_model.window_count, progress)
    if len(costs) and not np.isfinite(costs).all(axis=1).any():
        raise cost_model.cause(PruneSet([blocks[0]]))
    return dict(zip(blocks, (float(cost) for cost in costs.mean(axis=1)), strict=True))
