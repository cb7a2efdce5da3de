"""Whether a criterion's order of the kept blocks is that of their measured damage.

found = agreement(ranking, damages)
found.spearman, found.shared            # 0.71, and 2 of the 3 cheapest are the same
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from entviz.comparison.damages.block_damages import BlockDamages
from entviz.comparison.trust.rank_correlation import spearman
from entviz.comparison.trust.trust import FEWEST_BLOCKS
from entviz.criteria.ranking import Ranking

CHEAPEST = 3


@dataclass(frozen=True)
class Agreement:
    """What :func:`agreement` found.

    Attributes:
        blocks: how many blocks both order.
        spearman: rank correlation of the two orders; not a number for fewer than ``FEWEST_BLOCKS``.
        by_criterion: the cheapest by the criterion, by name, the first to go first.
        by_damage: the cheapest by the loss increase measured, by name.
        shared: how many are in both.
    """

    blocks: int
    spearman: float
    by_criterion: tuple[str, ...]
    by_damage: tuple[str, ...]
    shared: int


def agreement(ranking: Ranking, damages: BlockDamages, count: int = CHEAPEST) -> Agreement:
    """Compare two orders of the blocks that a criterion may drop, are kept, and have a damage that is measured.

    A block without which the model overflows costs infinitely much, and comes last. ``count`` is how many of the
    cheapest are looked at.
    """
    loss = damages.blocks.dropna(subset=["loss"]).set_index("block")["loss"]
    order = [str(block) for block in ranking.order if str(block) in loss.index]
    costs = loss[order].to_numpy()
    cheapest = tuple(
        order[place] for place in np.argsort(costs, kind="stable")[:count] if np.isfinite(costs[place])
    )
    first = tuple(order[:count])
    enough = len(order) >= FEWEST_BLOCKS
    found = float(spearman(np.arange(len(order)), costs)) if enough else float("nan")
    return Agreement(len(order), found, first, cheapest, len(set(first) & set(cheapest)))
