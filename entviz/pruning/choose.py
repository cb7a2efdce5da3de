"""Every criterion by name: measure or try whatever it needs, and answer with a ranking.

choose(loaded, windows, "entrodrop", estimator="knn", level="attn", budget=8).drop
choose(loaded, windows, "search", level="attn", budget="20% parameters", seconds=120).drop
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from entviz.analysis import DEFAULT_METRICS, Analysis, analyze, measurable
from entviz.blocks import Block, PruneSet
from entviz.corpus import Windows
from entviz.errors import OptionError
from entviz.evaluation.precision import AUTO, resolved
from entviz.models.loaded import LoadedModel
from entviz.progress import Progress, silent
from entviz.pruning import catalog
from entviz.pruning.angular import angular_distances, closest_run
from entviz.pruning.budget import Budget
from entviz.pruning.catalog import FROM_ANALYSIS
from entviz.pruning.criteria import default_protection, rank
from entviz.pruning.greedy import greedy, leave_one_out
from entviz.pruning.ranking import Ranking, free_blocks, in_order, ranked, score_table
from entviz.pruning.search import Found, search
from entviz.pruning.states import StateCache
from entviz.pruning.trial import Trial, Tried

# What the search minimizes: what the text loses, and how far the predictions are from the dense model's. Each alone
# rests on few tokens and a search finds their accidents. Held out, sets of attentions of SmolLM2 135M that it found by
# either one did worse than those by the sum.
_SEARCH_BY = "both"


def choose(
    loaded: LoadedModel,
    windows: Windows,
    criterion: str,
    *,
    level: str | None = None,
    budget: int | str | Budget = 0,
    estimator: str = "knn",
    protect: tuple[int, int] | None = None,
    stage: int | None = None,
    seed: int = 0,
    seconds: float = 120.0,
    dtype: str = "float32",
    analysis: Analysis | None = None,
    cache: StateCache | None = None,
    tried: dict[str, Tried] | None = None,
    progress: Progress = silent,
) -> Ranking:
    """Rank blocks by any criterion of :data:`entviz.pruning.catalog.CRITERIA`, and choose a prune set for a budget.

    Args:
        level: layer, attn, mlp, or attn+mlp; by default the one the criterion was published for.
        budget: a number of blocks, or what :meth:`entviz.pruning.budget.Budget.parse` reads.
        estimator: the entropy for entrodrop.
        protect: how many layers at the start and the end are left alone; (2, 1) by default for entrodrop, else none.
        stage: 2 keeps entrodrop to blocks after the turning point.
        seed: of random.
        seconds: how long the search may take.
        dtype: the number type in which criteria that try prune sets run the model.
        analysis: a measurement of the same model and windows, where there is one already.
        cache: hidden states and dense predictions to start from.
        tried: what earlier calls with this model have run, which is not run again; what is run now is added. A search
            for a large budget so goes on from one for a small budget.
        progress: a search reports its best :class:`Ranking` so far as partial result.

    Raises:
        OptionError: for an unknown criterion, a level it does not have, a budget that cannot be reached, or a time that
            is none.
        BlockError: for an unknown level, and for a budget that leaves nothing of the model.
    """
    known = catalog.criterion(criterion)
    level = known.level if level is None else level
    check_seconds(seconds)
    wanted = Budget.parse(budget)
    protection = default_protection(criterion) if protect is None else protect
    scores = score_table(loaded.layers, level, {}, protection)
    if level not in known.levels:
        raise OptionError(f"{criterion} works at level {', '.join(known.levels)}, not {level}.")
    free = free_blocks(scores)
    weights = wanted.weights(loaded, windows, free)
    if wanted.cut(free, weights) == len(free):  # says at once, before measuring, what is out of reach
        PruneSet(free).check(loaded.layers)

    def enough(drop: PruneSet) -> bool:
        return sum(weights[block] for block in free if block in drop) >= wanted.amount * (1 - 1e-9)

    tried = tried if tried is not None else {}

    def trial(by: str, dtype: str = dtype) -> Trial:
        on = tried.setdefault(f"{windows.fingerprint} {resolved(dtype, loaded.device)}", Tried())
        return Trial(loaded, windows, by=by, dtype=dtype, cache=cache, tried=on)

    if criterion in FROM_ANALYSIS:
        metric = estimator if criterion == "entrodrop" else "cosine"
        measured = analysis if analysis is not None and metric in set(analysis.blocks["metric"]) else None
        measured = measured or analyze(loaded, windows, (metric,), progress=progress)
        order = rank(measured, criterion, estimator=estimator, level=level, protect=protection, stage=stage)
        return in_order(criterion, order.order, order.scores, wanted.cut(order.order, weights))
    if criterion == "leave-one-out":
        damage = leave_one_out(trial("nll"), free, progress=progress)
        table = score_table(
            loaded.layers, level, {str(block): cost for block, cost in damage.items()}, protection
        )
        whole = ranked(criterion, table, 0)
        return in_order(criterion, whole.order, table, wanted.cut(whole.order, weights))
    if criterion in ("last", "random"):
        chosen = list(reversed(free))
        if criterion == "random":
            random.Random(seed).shuffle(chosen)
        return in_order(criterion, chosen, scores, wanted.cut(chosen, weights))
    if criterion == "angular-distance":
        distances = angular_distances(loaded, windows, progress=progress)
        size = wanted.cut(free, weights)
        start = closest_run(distances, size, free[0].index, free[-1].index) if size else 0
        chosen = [Block("layer", i) for i in range(start, start + size)]
        single = distances[distances["size"] == 1]
        alone = {
            f"layer.{start}": float(far)
            for start, far in zip(single["start"], single["distance"], strict=True)
        }
        return in_order(criterion, chosen, score_table(loaded.layers, level, alone, protection), size)
    if criterion in ("sleb", "finercut"):
        at_most = int(wanted.amount) if wanted.unit == "blocks" else len(free)
        chosen, costs = greedy(
            trial("nll" if criterion == "sleb" else "kl"), free, at_most, enough=enough, progress=progress
        )
        if not enough(PruneSet(chosen)):
            PruneSet(free).check(loaded.layers)  # it stopped because the next block would have been the last
        paid = {str(block): cost for block, cost in zip(chosen, costs, strict=True)}
        return in_order(criterion, chosen, score_table(loaded.layers, level, paid, protection), len(chosen))
    if wanted.amount == 0:
        return in_order(criterion, [], scores, 0)
    # Races are won by large differences, which a faster number type shows too; the finals are run in that asked for.
    fast = resolved(AUTO, loaded.device) if dtype == "float32" else dtype
    return _searched(
        trial(_SEARCH_BY, fast),
        trial(_SEARCH_BY),
        free,
        enough,
        lambda order: wanted.cut(order, weights),
        level,
        protection,
        analysis,
        seconds,
        progress,
    )


def check_seconds(seconds: float) -> None:
    """Raise ``OptionError`` where a search cannot be given so many seconds."""
    if not 0 <= seconds < math.inf:  # which is true of no NaN
        raise OptionError(f"A search cannot take {seconds:g} seconds: give it a number from 0 on.")


def _searched(
    fast: Trial,
    trial: Trial,
    free: Sequence[Block],
    enough: Callable[[PruneSet], bool],
    cut: Callable[[Sequence[Block]], int],
    level: str,
    protection: tuple[int, int],
    analysis: Analysis | None,
    seconds: float,
    progress: Progress,
) -> Ranking:
    layers = trial.loaded.layers

    def ranking(found: Found) -> Ranking:
        order = [block for block in free if block in found.drop]
        return in_order("search", order, score_table(layers, level, {}, protection), len(order))

    def report(done: int, total: int, partial: object = None, /) -> None:
        progress(done, total, ranking(partial) if isinstance(partial, Found) else None)

    def not_yet(_done: int, _total: int, _partial: object = None, /) -> None:
        progress(0, int(seconds * 10))  # so that measuring for the seeds can be stopped, too

    # A seed is a help and no condition: windows that are too short for an estimator do without its seed.
    metrics = measurable(DEFAULT_METRICS, trial.windows.token_ids.shape[1])
    if analysis is None or not set(metrics) <= set(analysis.blocks["metric"]):
        analysis = analyze(trial.loaded, trial.windows, metrics, progress=not_yet)
    seeds = []
    for metric in metrics:
        name = "cosine" if metric == "cosine" else "entrodrop"
        for guard in {protection, default_protection(name)}:
            try:
                order = rank(analysis, name, estimator=metric, level=level, protect=guard).order
                order = tuple(block for block in order if block in free)
                seeds.append(PruneSet(order[: cut(order)]))
            except OptionError:  # a seed that its protection leaves too few blocks for is no seed
                continue
    found = search(fast, free, enough, seeds=seeds, seconds=seconds, exact=trial, progress=report)
    return ranking(found)
