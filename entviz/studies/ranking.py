"""Rank blocks in the order in which a criterion drops them, with a prune set for a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from entviz.criteria import CRITERIA, ByAnalysis, Criterion, criterion, known, rank_by_analysis
from entviz.criteria.switches import all_switches
from entviz.estimators import base, with_defaults
from entviz.progress import Progress
from entviz.studies.analysis import Analyze
from entviz.studies.study import Basis, Material, Page, TextStudy

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.criteria.ranking import Ranking
    from entviz.models import LoadedModel
    from entviz.report import About
    from entviz.store import Run


@dataclass(frozen=True)
class RankingOptions:
    """The options of a ranking: the arguments of :func:`entviz.criteria.rank` by name.

    ``budget`` is a number of blocks, for which another study may already know the order, or a budget as text.
    ``along`` holds the metrics that are measured in the same pass if the ranking comes from an analysis. ``more`` holds
    options of the criterion that have no field here, by name: ``(("iterative", True),)``.
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
    more: tuple[tuple[str, Any], ...] = ()

    @property
    def own(self) -> dict[str, Any]:
        """The criterion's own options; options of other criteria are left out.

        An option that is neither a field here nor in ``more`` has the criterion's default and is left out. So an
        option that is added later does not change the keys of rankings without it.
        """
        options, more = known(self.criterion).options(), dict(self.more)
        here = {name: getattr(self, name) for name in options if hasattr(self, name)}
        usual = known(self.criterion)()
        return here | {
            name: value for name, value in more.items() if name in options and value != getattr(usual, name)
        }

    @property
    def chosen(self) -> Criterion:
        """The criterion with these options."""
        return criterion(self.criterion, **self.own)

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of :func:`entviz.criteria.rank` that the ranking depends on, by name."""
        return {"level": self.level, "budget": str(self.budget), "protect": self.protect} | self.own

    @property
    def metric(self) -> str | None:
        """The metric whose analysis gives the ranking; None if no analysis does."""
        chosen = self.chosen
        if (
            not isinstance(chosen, ByAnalysis)
            or chosen.needs != "analysis"
            or not isinstance(self.budget, int)
        ):
            return None
        return chosen.metric

    @property
    def serves_all_budgets(self) -> bool:
        """Whether one order of blocks is valid for every number of blocks."""
        return self.chosen.order == "all" and isinstance(self.budget, int)


@dataclass(frozen=True)
class Rank(TextStudy["Ranking"]):
    """Rank blocks by any criterion.

    A criterion that needs only an analysis shares the analysis of the same text. If a criterion's order does not depend
    on the budget, it is computed once for every number of blocks. A search's partial result is its best ranking so far.

    Raises:
        OptionError: for an unknown criterion.
    """

    by: RankingOptions

    kind = "ranking"
    title = "Ranking"
    result = "entviz.criteria.ranking:Ranking"
    numbers: ClassVar[Mapping[str, str]] = {"first": "first"}
    parts: ClassVar[Mapping[str, str]] = {"measurement": "entviz.analysis:Analysis"}
    page = Page("prune")

    def __post_init__(self) -> None:
        known(self.by.criterion)  # an unknown one is refused before anything is loaded

    def options(self) -> dict[str, Any]:
        return self.sample.options() | {"criterion": self.by.criterion, **self.by.settings}

    @property
    def basis(self) -> Basis[Ranking] | None:
        if (metric := self.by.metric) is not None:
            return Basis(self._analysis(metric), self._by_analysis)
        if self.by.serves_all_budgets and self.by.budget:
            return Basis(replace(self, by=replace(self.by, budget=0)), self._cut)
        return None

    def _analysis(self, metric: str) -> Analyze:
        """The analysis that all pages share, if it holds the estimator."""
        metrics = with_defaults([*self.by.along, metric])
        chosen = self.by.chosen
        massive = isinstance(chosen, ByAnalysis) and chosen.without_massive
        return Analyze(self.sample, metrics, without_massive=massive)

    def _by_analysis(self, analysis: Analysis) -> Ranking:
        return rank_by_analysis(
            analysis,
            self.by.criterion,
            level=self.by.level,
            budget=int(self.by.budget),
            protect=self.by.protect,
            **self.by.own,
        )

    def _cut(self, whole: Ranking) -> Ranking:
        from entviz.criteria.ranking import ranking_in_order

        return ranking_in_order(
            self.by.criterion, whole.order, whole.scores, int(self.by.budget), whole.notes
        )

    def check_model(self, loaded: LoadedModel, windows: Any) -> None:
        """Raise an error for a budget that cannot be reached, before the whole order is computed, which takes long."""
        from entviz.criteria import level_of
        from entviz.criteria.budget import Budget
        from entviz.criteria.calibration import Calibration
        from entviz.criteria.candidates import Candidates

        chosen = self.by.chosen
        level = level_of(chosen, self.by.level)
        protect = chosen.protection if self.by.protect is None else self.by.protect
        Candidates.of(Calibration(loaded, windows), level, protect, Budget.parse(self.by.budget))

    def compute(self, material: Material, progress: Progress) -> Ranking:
        from entviz.criteria import rank

        known, chosen = None, self.by.chosen
        if isinstance(chosen, ByAnalysis):  # it measures pruned models, starting from the dense one
            known = material.results.get(self._analysis(chosen.metric), material.windows.fingerprint)
        return rank(
            material.loaded,
            material.windows,
            self.by.criterion,
            **self.by.settings,
            analysis=known,
            kept=material.results.parts_of(self),
            cache=material.states,
            progress=progress,
        )

    def summarize(self, result: Ranking) -> dict[str, Any]:
        return {"drop": [str(block) for block in result.drop], "first": [str(b) for b in result.order[:8]]}

    @classmethod
    def prune_set(cls, run: Run) -> str | None:
        return ",".join(map(str, run.summary.get("drop") or ())) or None

    @classmethod
    def opened(cls, run: Run, text: str | None) -> dict[str, Any]:
        options, protect = run.options, run.options["protect"]
        if options["criterion"] not in CRITERIA:
            return {}
        own = CRITERIA[options["criterion"]].switches()
        shown = {
            "prune.criterion": options["criterion"],
            "prune.level": options["level"],
            "prune.own_protection": protect is not None,
        } | {
            # Whether massive tokens are measured is a choice that pages share.
            switch.name if switch.name == "without_massive" else f"prune.{switch.key}": (
                switch in own and options.get(switch.name, switch.off) == switch.on
            )
            for switch in all_switches(CRITERIA.values()).values()
        }
        if protect is not None:
            shown |= {"prune.first": protect[0], "prune.last": protect[1]}
        if cls.measured(run):
            shown["prune.estimator"] = base(options["estimator"])
        if options["budget"].isdecimal() and int(
            options["budget"]
        ):  # other budgets are not numbers of blocks
            shown["prune.count"] = int(options["budget"])
        return shown

    @classmethod
    def measured(cls, run: Run) -> tuple[str, ...]:
        return (run.options["estimator"],) if "estimator" in run.options else ()

    @classmethod
    def report(
        cls,
        result: Ranking,
        about: About,
        options: Mapping[str, Any],
        pieces: Sequence[Sequence[str]] | None = None,
    ) -> str:
        from entviz.report import of_ranking

        return of_ranking(result, about, options)
