"""Search: try prune sets and keep the one that changes the model's predictions least."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from entviz.blocks import PruneSet
from entviz.criteria.cosine import Cosine
from entviz.criteria.criterion import ByAnalysis, Criterion
from entviz.criteria.entropy import EntroDrop
from entviz.criteria.search_result import Finals, SearchResult
from entviz.criteria.switches import switch
from entviz.errors import OptionError
from entviz.estimators import default_entropies
from entviz.progress import Progress, silent
from entviz.repair.registry import METHODS

if TYPE_CHECKING:
    from entviz.criteria.calibration import Calibration
    from entviz.criteria.candidates import Candidates
    from entviz.criteria.ranking import Ranking

# The search minimizes the sum of the loss and the divergence of predictions from the dense model's. Each alone is
# measured on few tokens, and a search overfits to them. On held-out text, sets of attentions of SmolLM2 135M found by
# either one alone did worse than sets found by the sum.
_COST = "both"
_WINDOWS_FOR_SEEDS = 8  # measuring more would take longer than the time that is given


@dataclass(frozen=True)
class Search(Criterion):
    """An anytime search that starts from the sets that other criteria choose (:mod:`entviz.criteria.prune_set_search`).

    Args:
        seconds: how long it may take for each budget.
        repair: choose the set that costs least once it is repaired by this method, a name in
            :data:`entviz.repair.registry.METHODS`; empty for no repair. Repairs are fitted on every second calibration
            window and judged on the others. Most sets are compared with the repair ``bias``, which takes hardly longer
            than none; the best of them are then repaired by the method.

    Raises:
        OptionError: for a time that is negative or not finite, or an unknown repair.
    """

    seconds: float = 120.0
    repair: str = switch(
        "",
        "refit",
        "repair=refit",
        "Choose for a repair (refit)",
        "repaired by refit",
        "Of the sets that it tries, it chooses the one that costs least once it is repaired, not the one that costs "
        "least as it is.",
    )

    name = "search"
    title = "Search (entviz)"
    short_title = "Search"
    source = "entviz.criteria.prune_set_search"
    needs = "trials"
    order = "none"

    def __post_init__(self) -> None:
        if self.repair:
            METHODS[self.repair]  # an unknown one is refused
        if not 0 <= self.seconds < math.inf:  # NaN is not
            raise OptionError(f"A search cannot take {self.seconds:g} seconds: give it a number from 0 on.")

    @property
    def seconds_a_budget(self) -> float:
        return self.seconds

    def rank(self, calibration: Calibration, candidates: Candidates, progress: Progress = silent) -> Ranking:
        from entviz.criteria.prune_set_search import search
        from entviz.decoder.precision import AUTO, resolved

        if candidates.budget.amount == 0:
            return candidates.whole(self.name, [])

        def ranking(found: SearchResult) -> Ranking:
            return candidates.whole(self.name, [block for block in candidates.free if block in found.drop])

        def report(done: int, total: int, partial: object = None, /) -> None:
            progress(done, total, ranking(partial) if isinstance(partial, SearchResult) else None)

        # Most comparisons are decided by large differences, which a faster number type shows too. The final measurement
        # uses the requested number type.
        loaded, dtype = calibration.loaded, calibration.dtype
        fast = resolved(AUTO, loaded.device) if dtype == "float32" else dtype
        race, last, finals = calibration.cost_model(_COST, fast), calibration.cost_model(_COST), Finals()
        if self.repair:
            race, repaired = calibration.repaired_costs(_COST, self.repair, fast)
            repaired.check(candidates.free)
            last = repaired
            # A fit takes longer than a run, and the order of sets by bias is not quite that by another repair.
            finals = Finals(most=16, share=0.4)
        found = search(
            race,
            candidates.free,
            candidates.enough,
            seeds=self._seeds(calibration, candidates, progress),
            seconds=self.seconds,
            exact=last,
            finals=finals,
            progress=report,
        )
        return replace(ranking(found), notes=self._notes(calibration))

    def _notes(self, calibration: Calibration) -> tuple[str, ...]:
        if not self.repair:
            return ()
        from entviz.criteria.repaired_costs import halves

        judged, fitted = map(len, halves(calibration.windows))
        return (
            f"Chosen for the repair {self.repair}: fitted on {fitted} of the {judged + fitted} calibration windows, "
            f"judged on the other {judged}. Without a repair, another set may cost less.",
        )

    def _seeds(
        self, calibration: Calibration, candidates: Candidates, progress: Progress
    ) -> Sequence[PruneSet]:
        """The sets chosen by the criteria that need only an analysis, each also with the criterion's own protection."""
        from entviz.analysis import measurable

        def not_yet(_done: int, _total: int, _partial: object = None, /) -> None:
            progress(0, int(self.seconds * 10))  # so that measuring for the seeds can be stopped, too

        # Seeds are optional: if windows are too short for an estimator, the search starts without its seed.
        entropies = measurable(default_entropies(), calibration.windows.input_length)
        criteria: list[ByAnalysis] = [*map(EntroDrop, entropies), Cosine()]
        analysis = calibration.analysis_of(
            [criterion.metric for criterion in criteria], not_yet, most_windows=_WINDOWS_FOR_SEEDS
        )
        seeds = []
        for criterion in criteria:
            for protect in {candidates.protect, criterion.protection}:
                order = criterion.rank_by(analysis, candidates.unlimited(protect)).order
                order = tuple(block for block in order if block in candidates.weights)
                try:
                    seeds.append(PruneSet(order[: candidates.count(order)]))
                except OptionError:  # a seed that its protection leaves too few blocks for is no seed
                    continue
        return seeds
