"""The prune sets that contenders choose. Prune sets that follow one order share a ranking.

chooser.analyze(entries, progress)               # once, for all contenders that choose by an analysis
chooser.choose(entry, progress)                  # [Chosen(entry, "4", PruneSet(...)), ...], one for each budget
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeGuard

from entviz.analysis import Analysis, analyze, measurable
from entviz.blocks import Block, PruneSet
from entviz.comparison.grid.cell import Case
from entviz.comparison.grid.contenders import Contender
from entviz.criteria import ByAnalysis, Criterion, rank
from entviz.criteria.budget import Budget
from entviz.criteria.cost_model import KnownCosts
from entviz.criteria.ranking import Ranking
from entviz.decoder.states import StateCache
from entviz.errors import EntvizError, ModelError, OptionError
from entviz.estimators import default_metrics
from entviz.models.loaded import LoadedModel
from entviz.part_cache import PartCache
from entviz.progress import Progress
from entviz.text.windows import Windows


@dataclass(frozen=True)
class Chosen:
    """A prune set that a contender chose for a budget."""

    contender: Contender
    budget: str
    drop: PruneSet

    @property
    def case(self) -> Case:
        """What has to be measured."""
        return Case(self.drop, self.contender.repair)


class NotKnownError(Exception):
    """What was asked for is not known, and a chooser that only chooses what it knows does not find it out."""


class Chooser:
    """Lets contenders choose on the same windows and by one analysis. No prune set is tried twice.

    Args:
        calibration: the calibration windows; ``searched`` are those of the search.
        budgets: budgets as text that :meth:`entviz.criteria.budget.Budget.parse` reads.
        dtype: the number type in which prune sets are tried.
        analysis: an analysis of the calibration windows, if there is one.
        kept: the store for rankings of criteria that try prune sets.
        leave_out: called with a contender and a budget for which it has no prune set, and the reason.
        only_known: run nothing, and raise :class:`NotKnownError` where a run would be needed.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        calibration: Windows,
        searched: Windows,
        budgets: Sequence[str],
        *,
        dtype: str,
        analysis: Analysis | None,
        cache: StateCache,
        kept: PartCache,
        leave_out: Callable[[Contender, str, EntvizError], None],
        only_known: bool = False,
    ) -> None:
        self.loaded, self.calibration, self.searched = loaded, calibration, searched
        self.budgets, self.dtype, self.analysis = budgets, dtype, analysis
        self.cache, self.kept, self.leave_out = cache, kept, leave_out
        self.only_known = only_known
        self._bare: Analysis | None = None  # the same without massive tokens
        self._tried: dict[str, KnownCosts] = {}  # shared by the criteria that try prune sets
        self._weights: dict[tuple[str, str], dict[Block, float]] = {}

    def analyze(self, entries: Sequence[Contender], progress: Progress) -> None:
        """Measure the analysis that these contenders choose by, unless there is one already."""
        known = set(self.analysis.metrics) if self.analysis is not None else set()
        # The search takes its seeds from the same analysis, as far as the windows are long enough for the metrics.
        usual = measurable(default_metrics(), self.calibration.input_length)
        wanted = set(usual) | {entry.estimator for entry in entries if entry.estimator}
        if self.analysis is None or not wanted <= known:
            self.analysis = analyze(self.loaded, self.calibration, tuple(sorted(wanted)), progress=progress)
        bare = {entry.criterion.metric for entry in entries if _is_bare(entry.criterion)}
        if bare:
            self._bare = analyze(
                self.loaded,
                self.calibration,
                tuple(sorted(bare)),
                without_massive=True,
                dense=self.analysis,
                progress=progress,
            )

    def choose(self, entry: Contender, progress: Progress) -> list[Chosen]:
        """The contender's prune sets; ``leave_out`` is called for each budget for which it has none."""
        found = []
        parsed = [(text, Budget.parse(text)) for text in self.budgets]
        if entry.criterion.order != "none":
            for _, group in groupby(sorted(parsed, key=by_unit), key=lambda each: each[1].unit):
                same_unit = list(group)
                try:
                    ranking = self._whole_order(entry, same_unit, progress)
                except ModelError as error:  # the numbers are not finite for any prune set
                    for text, _ in same_unit:
                        self.leave_out(entry, text, error)
                    continue
                for text, budget in same_unit:
                    try:
                        order = ranking.order
                        if entry.criterion.order == "smaller":
                            order = tuple(block for block in order if block in ranking.drop)
                        count = budget.cut(order, self._saved(entry, budget, ranking))
                        found.append(Chosen(entry, text, PruneSet(order[:count])))
                    except OptionError as error:
                        self.leave_out(entry, text, error)
        else:
            for text, _ in parsed:
                try:
                    found.append(self.choose_for(entry, text, progress))
                except (OptionError, ModelError) as error:
                    self.leave_out(entry, text, error)
        return found

    def choose_for(self, entry: Contender, budget: str, progress: Progress) -> Chosen:
        """The prune set of a contender that has another one for each budget; raises what ``rank`` raises."""
        return Chosen(entry, budget, self._ranking(entry, budget, progress).drop)

    def _whole_order(
        self, entry: Contender, budgets: Sequence[tuple[str, Budget]], progress: Progress
    ) -> Ranking:
        """An order of blocks such that each of these budgets (sorted, all of one unit) drops the first blocks of it."""
        if entry.criterion.order == "all":
            return self._ranking(entry, "0", progress)
        # The largest budget that can be reached; cut() then reports the budgets beyond it.
        for text, _ in reversed(budgets[1:]):
            try:
                return self._ranking(entry, text, progress)
            except (OptionError, ModelError):
                continue
        return self._ranking(entry, budgets[0][0], progress)

    def _ranking(self, entry: Contender, budget: str, progress: Progress) -> Ranking:
        options: dict[str, Any] = {
            "criterion": entry.choosing,
            "level": entry.level,
            "budget": budget,
            "dtype": self.dtype,
        }
        windows, analysis = self.calibration, self.analysis
        if _is_bare(entry.criterion) and self._bare is not None:
            analysis = self._bare
        if entry.criterion.seconds_a_budget:
            options["seconds"] = entry.criterion.seconds_a_budget
            if self.searched is not self.calibration:
                windows, analysis = self.searched, None
        tokens = windows.fingerprint
        known: Ranking | None = self.kept.get("choice", tokens, options) if entry.criterion.tries() else None
        if known is not None:
            return known
        if self.only_known and not self._takes_nothing(entry):
            raise NotKnownError
        ranking = rank(
            self.loaded,
            windows,
            entry.criterion,
            level=entry.level,
            budget=budget,
            protect=entry.protect,
            dtype=self.dtype,
            analysis=analysis,
            cache=self.cache,
            tried=self._tried,
            kept=self.kept,
            progress=progress,
        )
        if entry.criterion.tries():
            self.kept.put("choice", tokens, options, ranking)
        return ranking

    def _takes_nothing(self, entry: Contender) -> bool:
        """Whether a contender can rank without anything being run."""
        if entry.criterion.needs == "analysis":
            metric = entry.estimator or getattr(entry.criterion, "metric", "")
            analysis = self._bare if _is_bare(entry.criterion) else self.analysis
            return analysis is not None and metric in analysis.metrics
        return entry.criterion.needs == "nothing"

    def _saved(self, entry: Contender, budget: Budget, ranking: Ranking) -> dict[Block, float]:
        key = (entry.level, budget.unit)
        if key not in self._weights:
            blocks = [Block.parse(name) for name in ranking.scores["block"]]
            self._weights[key] = budget.weights(self.loaded, self.calibration, blocks)
        return self._weights[key]


def _is_bare(criterion: Criterion) -> TypeGuard[ByAnalysis]:
    """Whether a criterion chooses by an analysis without massive tokens."""
    return isinstance(criterion, ByAnalysis) and criterion.without_massive


def by_unit(each: tuple[str, Budget]) -> tuple[str, float]:
    """The sort key of a budget and its text: by unit, then by size."""
    return each[1].unit, each[1].amount
