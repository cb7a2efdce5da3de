"""How a ranking is asked for: from an analysis, or as a task of its own that serves all numbers of blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from entviz.jobs import Derived, Job
from entviz.pruning.catalog import FROM_ANALYSIS
from entviz.workbench.tasks import MEASURED, Rank, Request

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.pruning.ranking import Ranking

# Criteria that order blocks whatever the budget.
ORDERED = (*FROM_ANALYSIS, "leave-one-out", "last", "random")


@dataclass(frozen=True)
class Choice:
    """What blocks are ranked by: the arguments of ``entviz.pruning.choose`` by their names."""

    criterion: str
    estimator: str
    level: str
    budget: int | str
    protect: tuple[int, int] | None = None
    stage: int | None = None
    seed: int = 0
    seconds: float = 60.0

    @property
    def metrics(self) -> tuple[str, ...] | None:
        """The metrics of the analysis that gives the ranking; None where no analysis does.

        It is the one that all pages share, unless the estimator is in that one not measured.
        """
        if self.criterion not in FROM_ANALYSIS or not isinstance(self.budget, int):
            return None
        metric = self.estimator if self.criterion == "entrodrop" else "cosine"
        return MEASURED if metric in MEASURED else (metric,)

    @property
    def cut_later(self) -> bool:
        """Whether one order serves all numbers of blocks."""
        return self.criterion in ORDERED and isinstance(self.budget, int)

    def of_analysis(self, analysis: Job[Analysis]) -> Job[Ranking]:
        """The ranking that an analysis of ``metrics`` gives."""

        def make(found: Analysis) -> Ranking:
            from entviz.pruning.criteria import rank

            options: dict[str, Any] = {"level": self.level, "budget": self.budget}
            options |= {"protect": self.protect, "stage": self.stage, "estimator": self.estimator}
            return rank(found, self.criterion, **options)

        return Derived(analysis, make)

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of ``choose`` that the ranking depends on, by their names."""
        own: dict[str, dict[str, Any]] = {  # what only one criterion depends on
            "entrodrop": {"estimator": self.estimator, "stage": self.stage},
            "random": {"seed": self.seed},
            "search": {"seconds": self.seconds},
        }
        budget = str(0 if self.cut_later else self.budget)
        return {"level": self.level, "budget": budget, "protect": self.protect} | own.get(self.criterion, {})

    def task(self, request: Request) -> Rank:
        """The task that ranks."""
        return Rank(request, self.criterion, tuple(self.settings.items()))

    def of_task(self, ranked: Job[Ranking]) -> Job[Ranking]:
        """What the task gives, with as many blocks dropped as the budget says."""
        if not self.cut_later:
            return ranked

        def cut(ranking: Ranking) -> Ranking:
            from entviz.pruning.ranking import in_order

            return in_order(self.criterion, ranking.order, ranking.scores, int(self.budget))

        return Derived(ranked, cut)
