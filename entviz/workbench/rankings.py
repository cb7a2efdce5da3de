"""How a ranking is asked for: from an analysis, or as a task of its own that serves all numbers of blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from entviz.criteria import ByAnalysis, known, rank_by_analysis
from entviz.estimators import with_defaults
from entviz.jobs import Derived, Job
from entviz.workbench.tasks import Rank, Request

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.criteria.ranking import Ranking


@dataclass(frozen=True)
class Choice:
    """What blocks are ranked by: the arguments of :func:`entviz.criteria.rank` by their names.

    ``along`` are metrics that are measured in the same pass where an analysis gives the ranking.
    """

    criterion: str
    estimator: str
    level: str
    budget: int | str
    protect: tuple[int, int] | None = None
    stage: int | None = None
    seed: int = 0
    seconds: float = 60.0
    along: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...] | None:
        """The metrics of the analysis that gives the ranking; None where no analysis does.

        It is the one that all pages share, where that holds the estimator; else ``along`` says what more is measured.
        """
        chosen = known(self.criterion)
        if not issubclass(chosen, ByAnalysis) or not isinstance(self.budget, int):
            return None
        metric = chosen(**self.options).metric
        return with_defaults([*self.along, metric])

    @property
    def cut_later(self) -> bool:
        """Whether one order serves all numbers of blocks."""
        return known(self.criterion).order == "all" and isinstance(self.budget, int)

    def of_analysis(self, analysis: Job[Analysis]) -> Job[Ranking]:
        """The ranking that an analysis of ``metrics`` gives."""

        def make(found: Analysis) -> Ranking:
            return rank_by_analysis(
                found,
                self.criterion,
                level=self.level,
                budget=int(self.budget),
                protect=self.protect,
                **self.options,
            )

        return Derived(analysis, make)

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of :func:`entviz.criteria.rank` that the ranking depends on, by their names."""
        budget = str(0 if self.cut_later else self.budget)
        return {"level": self.level, "budget": budget, "protect": self.protect} | self.options

    @property
    def options(self) -> dict[str, Any]:
        """The criterion's own options: what others depend on is left out."""
        return {name: getattr(self, name) for name in known(self.criterion).options()}

    def task(self, request: Request) -> Rank:
        """The task that ranks."""
        return Rank(request, self.criterion, tuple(self.settings.items()))

    def of_task(self, ranked: Job[Ranking]) -> Job[Ranking]:
        """What the task gives, with as many blocks dropped as the budget says."""
        if not self.cut_later:
            return ranked

        def cut(ranking: Ranking) -> Ranking:
            from entviz.criteria.ranking import ranking_in_order

            return ranking_in_order(
                self.criterion, ranking.order, ranking.scores, int(self.budget), ranking.notes
            )

        return Derived(ranked, cut)
