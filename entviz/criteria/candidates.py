"""The blocks that a criterion may drop, and how many of them reach the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from entviz.blocks import Block, PruneSet
from entviz.criteria.ranking import Ranking, free_blocks, ranking_by_score, ranking_in_order, score_table
from entviz.errors import OptionError

if TYPE_CHECKING:
    import pandas as pd

    from entviz.criteria.budget import Budget
    from entviz.criteria.calibration import Calibration


@dataclass(frozen=True)
class Candidates:
    """The blocks of a level that are not protected, with the amount that dropping each saves.

    Attributes:
        layers: the number of layers in the model.
        level: layer, attn, mlp, or attn+mlp.
        protect: how many layers at the start and at the end are never dropped.
        budget: how much to drop.
        weights: the amount that dropping each block saves, in the budget's unit.
    """

    layers: int
    level: str
    protect: tuple[int, int]
    budget: Budget
    weights: Mapping[Block, float]

    @classmethod
    def of(cls, calibration: Calibration, level: str, protect: tuple[int, int], budget: Budget) -> Candidates:
        """The candidates in a model.

        Raises:
            OptionError: for a negative number of protected layers, or a budget that cannot be reached.
            BlockError: for an unknown level, or a budget that leaves no block in the model.
        """
        layers = calibration.loaded.layers
        free = free_blocks(score_table(layers, level, {}, protect))
        found = cls(
            layers, level, protect, budget, budget.weights(calibration.loaded, calibration.windows, free)
        )
        if found.count(free) == len(free):  # says at once, before measuring, what is out of reach
            PruneSet(free).check(layers)
        return found

    @cached_property
    def free(self) -> tuple[Block, ...]:
        """The blocks that may be dropped, by depth."""
        return tuple(self.weights)

    def unlimited(self, protect: tuple[int, int]) -> Candidates:
        """The same level with a budget of 0 and other layers protected, to rank all its blocks."""
        from entviz.criteria.budget import Budget

        free = free_blocks(score_table(self.layers, self.level, {}, protect))
        return Candidates(self.layers, self.level, protect, Budget(0), dict.fromkeys(free, 1.0))

    def count(self, order: Sequence[Block]) -> int:
        """How many blocks from the start of an order reach the budget; raises ``OptionError`` if all of them do not."""
        return self.budget.cut(order, self.weights)

    def enough(self, drop: PruneSet) -> bool:
        """Whether a prune set reaches the budget."""
        saved = sum(weight for block, weight in self.weights.items() if block in drop)
        return saved >= self.budget.amount * (1 - 1e-9)

    def table(self, scores: Mapping[str, float] | None = None, first_layer: int = 0) -> pd.DataFrame:
        """The score table of a ranking of the candidates."""
        return score_table(self.layers, self.level, scores or {}, self.protect, first_layer)

    def by_score(self, criterion: str, scores: Mapping[str, float], first_layer: int = 0) -> Ranking:
        """The ranking that drops the lowest score first, given scores by block name; ties go by depth."""
        table = self.table(scores, first_layer)
        order = ranking_by_score(criterion, table, 0).order
        return ranking_in_order(criterion, order, table, self.count(order))

    def in_order(
        self,
        criterion: str,
        order: Sequence[Block],
        scores: Mapping[str, float] | None = None,
        first_layer: int = 0,
    ) -> Ranking:
        """The ranking of blocks in a known order, cut where the budget is reached."""
        return ranking_in_order(criterion, order, self.table(scores, first_layer), self.count(order))

    def whole(
        self, criterion: str, order: Sequence[Block], scores: Mapping[str, float] | None = None
    ) -> Ranking:
        """The ranking of blocks that were chosen together as a set: all of them are dropped."""
        return ranking_in_order(criterion, order, self.table(scores), len(order))

    def reach(self, drop: PruneSet) -> None:
        """Raise an error that says why if a prune set does not reach the budget."""
        if not self.enough(drop):
            PruneSet(self.free).check(self.layers)  # the next block would have been the last
            raise OptionError("The budget cannot be reached.")
