"""Rank blocks by any criterion, and choose a prune set for a budget."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from entviz.criteria.candidates import Candidates
from entviz.criteria.criterion import ByAnalysis, Criterion
from entviz.criteria.registry import criterion as criterion_of
from entviz.criteria.registry import level_of
from entviz.errors import OptionError
from entviz.models.notes import notes_on
from entviz.part_cache import NoPartCache
from entviz.progress import Progress, silent

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.criteria.budget import Budget
    from entviz.criteria.cost_model import KnownCosts
    from entviz.criteria.ranking import Ranking
    from entviz.decoder.states import StateCache
    from entviz.models.loaded import LoadedModel
    from entviz.part_cache import PartCache
    from entviz.text.windows import Windows


def rank(
    loaded: LoadedModel,
    windows: Windows,
    criterion: str | Criterion,
    *,
    level: str | None = None,
    budget: int | str | Budget = 0,
    protect: tuple[int, int] | None = None,
    dtype: str = "float32",
    analysis: Analysis | None = None,
    cache: StateCache | None = None,
    tried: dict[str, KnownCosts] | None = None,
    kept: PartCache | None = None,
    progress: Progress = silent,
    **options: Any,
) -> Ranking:
    """Rank blocks by a criterion, and choose a prune set for a budget. The model is not changed.

    Args:
        criterion: a name from :data:`entviz.criteria.CRITERIA`, with the criterion's own options as keyword arguments
            (``estimator`` and ``stage`` of entrodrop, ``iterative`` of those that only measure, ``seed`` of random,
            ``seconds`` of search), or such an object.
        level: layer, attn, mlp, or attn+mlp; by default the level that the criterion was published for.
        budget: a number of blocks, or a text that :meth:`entviz.criteria.budget.Budget.parse` understands.
        protect: how many layers at the start and at the end are never dropped; by default as published.
        dtype, analysis, cache, tried, kept: as for :class:`entviz.criteria.calibration.Calibration`.
        progress: a search reports its best :class:`Ranking` so far as its partial result.

    Raises:
        OptionError: for an unknown criterion or option, a level that the criterion does not have, or a budget that
            cannot be reached.
        BlockError: for an unknown level, or a budget that leaves no block in the model.
    """
    from entviz.criteria.budget import Budget
    from entviz.criteria.calibration import Calibration

    chosen = criterion_of(criterion, **options) if isinstance(criterion, str) else criterion
    level = level_of(chosen, level)
    tried = tried if tried is not None else {}
    calibration = Calibration(loaded, windows, dtype, analysis, cache, tried, kept or NoPartCache())
    protect = chosen.protection if protect is None else protect
    candidates = Candidates.of(calibration, level, protect, Budget.parse(budget))
    found = chosen.rank(calibration, candidates, progress)
    return replace(found, notes=(*notes_on(loaded, windows), *found.notes))


def rank_by_analysis(
    analysis: Analysis,
    criterion: str | ByAnalysis = "entrodrop",
    *,
    level: str = "attn",
    budget: int = 0,
    protect: tuple[int, int] | None = None,
    **options: Any,
) -> Ranking:
    """Rank blocks from an analysis, by a criterion that needs nothing else.

    Args:
        budget: a number of blocks.
        criterion, level, protect, options: as for :func:`rank`.

    Raises:
        OptionError: for a criterion that needs more than an analysis, a metric that was not measured, and the reasons
            given for :func:`rank`.
        BlockError: for an unknown level, or a budget that leaves no block in the model.
    """
    from entviz.criteria.budget import Budget
    from entviz.criteria.ranking import free_blocks, ranking_in_order, score_table

    chosen = criterion_of(criterion, **options) if isinstance(criterion, str) else criterion
    if not isinstance(chosen, ByAnalysis) or chosen.needs != "analysis":
        raise OptionError(f"{chosen.name} needs more than an analysis: rank with a model and windows.")
    protect = chosen.protection if protect is None else protect
    free = free_blocks(score_table(analysis.layers, level_of(chosen, level), {}, protect))
    every = Candidates(analysis.layers, level, protect, Budget(0), dict.fromkeys(free, 1.0))
    found = chosen.rank_by(analysis, every)
    return ranking_in_order(chosen.name, found.order, found.scores, budget, analysis.notes)
