"""An analysis beside the same one without massive tokens.

found = changes(analysis, without)["bucket"]
found.made_by_them             # whether the turning point is gone, or lies elsewhere, without these tokens
found.chosen & found.chosen_without
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from entviz.blocks import PruneSet
from entviz.criteria import CRITERIA, ByAnalysis, EntroDrop, rank_by_analysis
from entviz.estimators import is_entropy
from entviz.stages import Stages, stages

if TYPE_CHECKING:
    from entviz.analysis import Analysis

LEVEL = "attn"  # what is chosen among, where it was measured, and how many of them
BUDGET = 4


@dataclass(frozen=True)
class Change:
    """What one metric says with all tokens, and without massive ones.

    Attributes:
        metric: its spec.
        stages, stages_without: of an entropy's curve; None for an importance.
        criterion: the title of the criterion that ranks by the metric.
        level: the kind of block that it chooses among.
        chosen, chosen_without: the blocks that it drops first, as many of each; none where no criterion ranks by it,
            and of a pruned model.
    """

    metric: str
    stages: Stages | None
    stages_without: Stages | None
    criterion: str
    level: str
    chosen: PruneSet
    chosen_without: PruneSet

    @property
    def made_by_them(self) -> bool:
        """Whether the turning point with all tokens is none, or another one, without."""
        was, now = self.stages, self.stages_without
        if was is None or now is None or not was.two:
            return False
        return not now.two or now.turning_point != was.turning_point

    @property
    def hidden_by_them(self) -> bool:
        """Whether the curve turns only without."""
        was, now = self.stages, self.stages_without
        return was is not None and now is not None and now.two and not was.two

    def to_json(self) -> dict[str, Any]:
        """Plain data: metric; turning_point and turning_point_without (layers, None where there are no two stages or it
        is an importance); criterion; chosen and chosen_without (the blocks that it drops first).
        """
        return {
            "metric": self.metric,
            "turning_point": _layer(self.stages),
            "turning_point_without": _layer(self.stages_without),
            "criterion": self.criterion,
            "chosen": [str(block) for block in self.chosen],
            "chosen_without": [str(block) for block in self.chosen_without],
        }

    @property
    def in_common(self) -> int:
        """How many of the chosen blocks are the same."""
        return sum(block in self.chosen_without for block in self.chosen)


def _layer(found: Stages | None) -> int | None:
    return found.turning_point if found is not None and found.two else None


def changes(analysis: Analysis, without: Analysis, metrics: Sequence[str] | None = None) -> dict[str, Change]:
    """What changes, by metric: for those that both have measured, or the given ones among them."""
    wanted = analysis.metrics if metrics is None else metrics
    return {
        metric: _change(analysis, without, metric)
        for metric in wanted
        if metric in analysis.metrics and metric in without.metrics
    }


def _change(analysis: Analysis, without: Analysis, metric: str) -> Change:
    entropy = metric in analysis.entropies
    criterion, kinds = _criterion(metric), set(analysis.blocks["kind"])
    level = LEVEL if LEVEL in kinds else next(iter(analysis.blocks["kind"]))
    chosen = chosen_without = PruneSet()
    if criterion is not None and not analysis.drop:  # of a pruned model, what was dropped would come first
        # Fewer where the model is so small that so many would be all of them.
        budget = min(BUDGET, max(0, analysis.layers - sum(criterion.protection) - 1))
        chosen = rank_by_analysis(analysis, criterion, level=level, budget=budget).drop
        chosen_without = rank_by_analysis(
            without, replace(criterion, without_massive=True), level=level, budget=budget
        ).drop
    return Change(
        metric,
        stages(analysis, metric) if entropy else None,
        stages(without, metric) if entropy else None,
        "" if criterion is None else criterion.title,
        level,
        chosen,
        chosen_without,
    )


def _criterion(metric: str) -> ByAnalysis | None:
    """The criterion that ranks by a metric: EntroDrop by an entropy, or the first that does by an importance."""
    if is_entropy(metric):
        return EntroDrop(estimator=metric)
    measuring = (kind() for kind in CRITERIA.values() if issubclass(kind, ByAnalysis))
    return next((one for one in measuring if one.metric == metric), None)
