"""The result of a criterion: blocks in the order in which it would drop them, and a prune set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from entviz.blocks import KINDS, Block, PruneSet
from entviz.errors import BlockError, OptionError
from entviz.models.notes import noted

JOINT = "attn+mlp"  # attentions and MLPs ranked together
LEVELS = (*KINDS, JOINT)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Blocks in the order in which a criterion would drop them.

    Attributes:
        criterion: the criterion's name.
        order: the blocks that may be dropped, in the order of dropping. A search lists only the blocks it chose.
        drop: the prune set for the budget.
        scores: a row for each block of the level, by depth. Columns: block, kind, index, score (what the criterion
            ranks by; NaN if it ranks sets instead of blocks, infinite if the model overflows without the block),
            protected.
        notes: sentences about how the text was read.
    """

    criterion: str
    order: tuple[Block, ...]
    drop: PruneSet
    scores: pd.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def overflowing(self) -> list[str]:
        """The blocks without which the model overflows; they are ranked last."""
        return [str(block) for block in self.scores.loc[np.isinf(self.scores["score"]), "block"]]

    def to_json(self) -> dict[str, Any]:
        """Plain data: criterion, order, drop (in order of rank), scores by block (None for a block without a finite
        score), notes, and overflowing: the blocks without which the model overflows, if there are any.
        """
        scores = zip(self.scores["block"], self.scores["score"], strict=True)
        return {
            "criterion": self.criterion,
            "order": [str(block) for block in self.order],
            "drop": [str(block) for block in self.order if block in self.drop],
            "scores": {block: float(score) if np.isfinite(score) else None for block, score in scores},
            **({"overflowing": self.overflowing} if self.overflowing else {}),
            **noted(self.notes),
        }


def kinds_of(level: str) -> tuple[str, ...]:
    """The kinds of block at a level: itself, or attn and mlp for ``attn+mlp``; raises ``BlockError`` for others."""
    if level not in LEVELS:
        raise BlockError(f"'{level}' is not a level: choose from {', '.join(LEVELS)}.")
    return ("attn", "mlp") if level == JOINT else (level,)


def score_table(
    layers: int, level: str, scores: Mapping[str, float], protect: tuple[int, int], before: int = 0
) -> pd.DataFrame:
    """The table of a :class:`Ranking`: a row for each block of the level.

    ``protect`` says how many layers at the start and at the end may not be dropped; ``before`` is another number of
    layers at the start that may not be dropped. Raises ``OptionError`` for negative numbers.
    """
    first, last = protect
    if first < 0 or last < 0:
        raise OptionError("The numbers of protected layers cannot be negative.")
    rows = [
        (
            f"{kind}.{i}",
            kind,
            i,
            scores.get(f"{kind}.{i}", float("nan")),
            i < max(first, before) or i >= layers - last,
        )
        for i in range(layers)
        for kind in kinds_of(level)
    ]
    return pd.DataFrame(rows, columns=["block", "kind", "index", "score", "protected"])


def free_blocks(scores: pd.DataFrame) -> list[Block]:
    """The blocks of a score table that may be dropped, by depth."""
    return [Block.parse(name) for name in scores.loc[~scores["protected"], "block"]]


def ranking_by_score(criterion: str, scores: pd.DataFrame, budget: int) -> Ranking:
    """Rank by score, lowest first; ties go by depth. Raises ``OptionError`` for a budget that is not possible."""
    free = scores[~scores["protected"]].sort_values(["score", "index"], kind="stable")
    return ranking_in_order(criterion, [Block.parse(name) for name in free["block"]], scores, budget)


def ranking_in_order(
    criterion: str,
    order: Sequence[Block],
    scores: pd.DataFrame,
    budget: int,
    notes: tuple[str, ...] = (),
) -> Ranking:
    """A ranking whose order is already known.

    Raises ``OptionError`` for a budget that is not possible, and ``BlockError`` for one that leaves no block.
    """
    if not 0 <= budget <= len(order):
        raise OptionError(f"A budget of {budget} blocks is not possible: {len(order)} may be dropped here.")
    drop = PruneSet(order[:budget]).check(int(scores["index"].max()) + 1)
    return Ranking(criterion, tuple(order), drop, scores, notes)
