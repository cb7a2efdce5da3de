"""Rules that rank blocks by how little they seem to matter.

    ranking = rank(analysis, "entrodrop", estimator="knn", level="attn", budget=8)
    ranking.drop                             # the prune set
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from entviz.analysis import Analysis
from entviz.blocks import KINDS, Block, PruneSet
from entviz.errors import BlockError, OptionError

CRITERIA = ("entrodrop", "cosine")
AUTHORS_PROTECTION = (2, 1)  # the first two layers and the last, as in the EntroDrop authors' code


@dataclass(frozen=True, eq=False)
class Ranking:
    """Blocks in the order in which a criterion would drop them.

    Attributes:
        criterion: its name.
        order: the blocks that may be dropped, the least important first.
        drop: the first ``budget`` of them.
        scores: a row for each block of the level, by depth. Columns: block, kind, index, score, protected.
    """

    criterion: str
    order: tuple[Block, ...]
    drop: PruneSet
    scores: pd.DataFrame

    def to_json(self) -> dict[str, Any]:
        """Plain data: criterion, order, drop (in order of rank), scores by block."""
        return {
            "criterion": self.criterion,
            "order": [str(block) for block in self.order],
            "drop": [str(block) for block in self.order if block in self.drop],
            "scores": dict(zip(self.scores["block"], self.scores["score"], strict=True)),
        }


def rank(
    analysis: Analysis,
    criterion: str = "entrodrop",
    *,
    estimator: str = "knn",
    level: str = "attn",
    budget: int = 0,
    protect: tuple[int, int] | None = None,
    stage: int | None = None,
) -> Ranking:
    """Rank the blocks of one level by what was measured of them.

    ``entrodrop`` drops the block with the lowest entropy increase first (Yang et al. 2025, section 3); ``cosine`` the
    one whose output is most similar to its input (Block Influence in ShortGPT, Men et al. 2024; LLM-Drop, He et al.
    2024).

    Args:
        protect: how many layers at the start and at the end are never dropped; for entrodrop (2, 1) by default, as in
            the authors' code, and for cosine none.
        stage: 2 keeps only blocks after the turning point of the estimator's curve, as the paper describes.

    Raises:
        OptionError: for an unknown criterion, a metric that was not measured, or a budget that is too large.
        BlockError: for an unknown level.
    """
    if criterion not in CRITERIA:
        raise OptionError(f"'{criterion}' is not a criterion: choose from {', '.join(CRITERIA)}.")
    if level not in KINDS:
        raise BlockError(f"'{level}' is not a level: choose from {', '.join(KINDS)}.")
    if stage not in (None, 2):
        raise OptionError(f"Stage {stage} is not known: use 2 to keep to blocks after the turning point.")
    metric = "cosine" if criterion == "cosine" else estimator
    table = analysis.blocks
    table = table[(table["metric"] == metric) & (table["kind"] == level)].sort_values("index")
    if table.empty or (criterion == "entrodrop" and metric == "cosine"):
        raise OptionError(f"'{metric}' at level {level} was not measured; analyze the text with it first.")
    first, last = protect if protect is not None else (AUTHORS_PROTECTION if criterion == "entrodrop" else (0, 0))
    if first < 0 or last < 0:
        raise OptionError("The numbers of protected layers cannot be negative.")
    protected = (table["index"] < first) | (table["index"] >= analysis.layers - last)
    if stage == 2:
        protected |= table["index"] <= analysis.turning_point(estimator)
    scores = table[["block", "kind", "index"]].assign(score=table["value"], protected=protected).reset_index(drop=True)
    free = scores[~scores["protected"]].sort_values(["score", "index"], kind="stable")
    order = tuple(Block.parse(name) for name in free["block"])
    if not 0 <= budget <= len(order):
        raise OptionError(f"A budget of {budget} is not possible: {len(order)} blocks of level {level} may be dropped.")
    return Ranking(criterion, order, PruneSet(order[:budget]), scores)
