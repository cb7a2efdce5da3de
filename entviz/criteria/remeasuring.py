"""Drop the lowest block, measure the pruned model, drop the block that is then the lowest, and so on.

    EntroDrop("knn", iterative=True).rank(calibration, candidates)

A single measurement is of the dense model; once a block is gone, those behind it read another stream. SLEB (Song et
al. 2024, arXiv 2402.09025, algorithm 1) and FinerCut (Zhang et al. 2024, arXiv 2405.18218, algorithm 1) choose step by
step for that reason, by what the model predicts; here it is done with what an analysis measures. A step costs an
analysis of one metric, from the first layer that the last drop changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from entviz.blocks import Block, PruneSet
from entviz.progress import Progress, part, silent

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.criteria.calibration import Calibration
    from entviz.criteria.candidates import Candidates
    from entviz.criteria.ranking import Ranking

NOTE = (
    "Measured again after each drop: the score of a dropped block is the one at which it was dropped, that of any "
    "other block the one in the last measurement."
)
REPAIRED = (
    "Before each of these measurements the pruned model was repaired by {repair}, fitted on the same text. A score "
    "says nothing about what the prune set costs without that repair."
)


class Measuring(Protocol):
    """What is asked of a criterion; :class:`entviz.criteria.ByAnalysis`, which calls this, has it."""

    name: ClassVar[str]

    @property
    def without_massive(self) -> bool: ...
    @property
    def repair(self) -> str: ...
    @property
    def metric(self) -> str: ...
    def first_layer(self, analysis: Analysis) -> int: ...
    def scores(self, analysis: Analysis, level: str) -> dict[str, float]: ...


def rank_again(
    criterion: Measuring, calibration: Calibration, candidates: Candidates, progress: Progress = silent
) -> Ranking:
    """Choose block by block, each by an analysis of the model without those before it.

    The order is that of dropping. Behind the blocks that reach the budget stand the others by their scores in the last
    measurement, that before the last drop. Which layers come into question for a reason that lies in the analysis
    (``stage`` of EntroDrop) is decided once, by the dense model. With ``repair``, what is measured is the model without
    the blocks as it is once it is repaired, so that damage that a repair makes up for does not count. A block that
    would leave nothing of the model is passed over.

    Raises:
        OptionError: for a budget that cannot be reached, or fewer calibration tokens than a repair has unknowns.
        BlockError: for a budget that leaves nothing of the model.
        ModelError: where the hidden states of a pruned model are not finite, saying why.
    """
    from dataclasses import replace

    from entviz.decoder.states import StateCache
    from entviz.repair.kept import Kept

    cache = calibration.cache if calibration.cache is not None else StateCache()
    analysis = calibration.analysis_of(
        (criterion.metric,), part(progress, 0, 0.1), without_massive=criterion.without_massive
    )
    first_layer = criterion.first_layer(analysis)
    dense, fits = analysis, Kept() if criterion.repair else None
    scores = criterion.scores(analysis, candidates.level)
    once = candidates.by_score(criterion.name, scores, first_layer)  # says at once what cannot be reached
    steps = sum(block in once.drop for block in once.order)
    unlimited, lowest = candidates.unlimited(candidates.protect), once.order
    order: list[Block] = []
    paid: dict[str, float] = {}
    drop = PruneSet()
    while not candidates.enough(drop):
        if order:
            done, again = len(order), max(steps - 1, len(order))  # measurements of pruned models
            here = part(progress, 0.1 + 0.9 * (done - 1) / again, 0.1 + 0.9 * done / again)
            analysis = calibration.analysis_without(
                drop,
                criterion.metric,
                candidates.level,
                # A repair may also change the stream before the last drop, so that only the dense one is known.
                before=dense if criterion.repair else analysis,
                cache=cache,
                repair=criterion.repair,
                fits=fits,
                progress=here,
            )
            scores = criterion.scores(analysis, candidates.level)
            lowest = unlimited.by_score(criterion.name, scores, first_layer).order
        left = (block for block in lowest if block not in drop)
        block = next((one for one in left if _keeps_something(drop, one, candidates.layers)), None)
        if block is None:
            candidates.reach(drop)
            break
        order.append(block)
        paid[str(block)] = scores[str(block)]
        drop |= PruneSet([block])
    rest = [block for block in lowest if block not in drop]
    found = candidates.in_order(criterion.name, [*order, *rest], scores | paid, first_layer)
    notes: tuple[str, ...] = (NOTE,) if order else ()
    if criterion.repair and len(order) > 1:
        notes += (REPAIRED.format(repair=criterion.repair),)
    return replace(found, notes=notes + analysis.left_out)


def _keeps_something(drop: PruneSet, block: Block, layers: int) -> bool:
    return (drop | PruneSet([block])).leaves_something(layers)
