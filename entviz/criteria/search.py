"""Search: try prune sets and keep what changes the model's predictions least."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from entviz.blocks import PruneSet
from entviz.criteria.cosine import Cosine
from entviz.criteria.criterion import ByAnalysis, Criterion
from entviz.criteria.entropy import EntroDrop
from entviz.errors import OptionError
from entviz.estimators import default_entropies
from entviz.progress import Progress, silent

if TYPE_CHECKING:
    from entviz.criteria.calibration import Calibration
    from entviz.criteria.candidates import Candidates
    from entviz.criteria.ranking import Ranking

# The search minimizes the sum of what the text loses and how far the predictions are from the dense model's. Each
# alone rests on few tokens and a search finds their accidents. On held-out text, sets of attentions of SmolLM2 135M
# that it found by either one did worse than those by the sum.
_COST = "both"


@dataclass(frozen=True)
class Search(Criterion):
    """An anytime search, :mod:`entviz.criteria.prune_set_search`, that starts from what other criteria choose.

    Args:
        seconds: how long it may take for a budget.

    Raises:
        OptionError: for a time that is not a number from 0 on.
    """

    seconds: float = 120.0

    name = "search"
    title = "Search (entviz)"
    short_title = "Search"
    source = "entviz.criteria.prune_set_search"
    needs = "trials"
    order = "none"

    def __post_init__(self) -> None:
        if not 0 <= self.seconds < math.inf:  # NaN is not
            raise OptionError(f"A search cannot take {self.seconds:g} seconds: give it a number from 0 on.")

    @property
    def seconds_a_budget(self) -> float:
        return self.seconds

    def rank(self, calibration: Calibration, candidates: Candidates, progress: Progress = silent) -> Ranking:
        from entviz.criteria.prune_set_search import SearchResult, search
        from entviz.evaluation.precision import AUTO, resolved

        if candidates.budget.amount == 0:
            return candidates.whole(self.name, [])

        def ranking(found: SearchResult) -> Ranking:
            return candidates.whole(self.name, [block for block in candidates.free if block in found.drop])

        def report(done: int, total: int, partial: object = None, /) -> None:
            progress(done, total, ranking(partial) if isinstance(partial, SearchResult) else None)

        # Races are won by large differences, which a faster number type shows too; the finals run in the one asked for.
        loaded, dtype = calibration.loaded, calibration.dtype
        fast = resolved(AUTO, loaded.device) if dtype == "float32" else dtype
        found = search(
            calibration.cost_model(_COST, fast),
            candidates.free,
            candidates.enough,
            seeds=self._seeds(calibration, candidates, progress),
            seconds=self.seconds,
            exact=calibration.cost_model(_COST),
            progress=report,
        )
        return ranking(found)

    def _seeds(
        self, calibration: Calibration, candidates: Candidates, progress: Progress
    ) -> Sequence[PruneSet]:
        """What criteria that an analysis answers choose, each also with its own protection."""
        from entviz.analysis import measurable

        def not_yet(_done: int, _total: int, _partial: object = None, /) -> None:
            progress(0, int(self.seconds * 10))  # so that measuring for the seeds can be stopped, too

        # A seed is a help and no condition: windows that are too short for an estimator do without its seed.
        entropies = measurable(default_entropies(), calibration.windows.input_length)
        criteria: list[ByAnalysis] = [*map(EntroDrop, entropies), Cosine()]
        analysis = calibration.analysis_of([criterion.metric for criterion in criteria], not_yet)
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
