"""How much work a comparison is, as far as that can be told before it is done; what is known already counts nothing.

    found = plan_of(chooser, measurer, entries, budgets)
    found.seconds(pace(loaded, measured))

What a criterion will choose is not known before it has chosen. Until then random sets of the same size stand for its
prune sets: they share about as many layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from entviz.blocks import PruneSet, all_blocks, site_names
from entviz.comparison.grid.cell import Case
from entviz.comparison.grid.choosing import Chooser, NotKnownError
from entviz.comparison.grid.contenders import Contender
from entviz.comparison.grid.measuring import Measurer
from entviz.criteria import ByAnalysis, rank
from entviz.criteria.baselines import Random
from entviz.criteria.ranking import kinds_of
from entviz.decoder.states import default_capacity
from entviz.errors import EntvizError
from entviz.evaluation.pace import Pace
from entviz.evaluation.speed import REPEATS
from entviz.evaluation.work import NOTHING, Work, of_dense, of_many
from entviz.progress import silent

_TOKENS_AN_ITEM = 60  # of a multiple-choice item, choices together
_FITTING = 2.0  # times the repaired stream alone: what is solved takes about as long as what is run
_WRITING = 4.0  # times reading the same text
_SHARED = 0.5  # of the layers, for one of the many sets that a criterion tries, which begin alike


@dataclass(frozen=True)
class Piece:
    """Contenders that choose and are measured together: the work of choosing, and of measuring what they chose."""

    entries: tuple[Contender, ...]
    choosing: Work
    measuring: Work


@dataclass(frozen=True)
class GridPlan:
    """The work of a comparison, in the order in which it is done.

    Attributes:
        prune_sets: how many rows there will be.
        dense: the dense model's predictions of the text that is measured on.
        analysis: what criteria that measure choose by.
        pieces: the contenders; those that only measure come first, and together.
    """

    prune_sets: int
    dense: Work
    analysis: Work
    pieces: tuple[Piece, ...]

    @property
    def works(self) -> tuple[Work, ...]:
        """The work of each part: the dense model, the analysis, then what each piece chooses and measures."""
        in_turn = (work for piece in self.pieces for work in (piece.choosing, piece.measuring))
        return (self.dense, self.analysis, *in_turn)

    @property
    def takes_time(self) -> bool:
        """Whether there is anything left to do."""
        return any(work != NOTHING for work in self.works)

    def seconds(self, pace: Pace) -> float:
        """How long it takes at this pace."""
        return sum(map(pace.seconds, self.works))


def plan_of(
    chooser: Chooser, measurer: Measurer, entries: Sequence[Contender], budgets: Sequence[str]
) -> GridPlan:
    """The plan of what a chooser and a measurer would do.

    ``chooser`` is one that chooses only what it knows, so that nothing is run.
    """
    layers = measurer.loaded.layers
    counter = _Counter(chooser, measurer, budgets)
    quick = [entry for entry in entries if not entry.criterion.tries()]
    groups = ([quick] if quick else []) + [[entry] for entry in entries if entry.criterion.tries()]
    dense = counter.measuring([Case()])
    pieces = tuple(counter.piece(group) for group in groups)
    if dense == NOTHING and any(piece.measuring != NOTHING for piece in pieces):
        dense = of_dense(layers, len(measurer.measured))  # kept, but its predictions are needed again
    return GridPlan(len(entries) * len(budgets), dense, counter.analysis(), pieces)


class _Counter:
    """Counts the work of contenders, each prune set once."""

    def __init__(self, chooser: Chooser, measurer: Measurer, budgets: Sequence[str]) -> None:
        self.chooser, self.measurer, self.budgets = chooser, measurer, budgets
        self.loaded, self.layers = measurer.loaded, measurer.loaded.layers
        self.all_weights = max(1, self._weights(PruneSet(all_blocks(self.layers))))
        self.counted: set[Case] = set()
        self.repairs: set[str] = set()  # whose calibration text was counted
        self.analyses: set[bool] = set()  # that are not known: with all tokens, without massive ones
        self.tries = False  # whether somebody has tried prune sets, and so has made the dense predictions
        self.drawn = 0

    def piece(self, group: Sequence[Contender]) -> Piece:
        """The work of some contenders that choose and are measured together."""
        choosing, cases = NOTHING, []
        for entry in group:
            found, work = self._chosen(entry)
            choosing += work
            cases += [Case(drop, entry.repair) for drop in found]
        return Piece(tuple(group), choosing, self.measuring(cases))

    def measuring(self, cases: Sequence[Case]) -> Work:
        """What measuring these takes, but for those that were counted before or are known."""
        new = [case for case in dict.fromkeys(cases) if case not in self.counted]
        self.counted.update(new)
        windows = len(self.measurer.measured)
        work = NOTHING
        for cases_together in self.measurer.groups(self.measurer.unknown(new)):
            group = [case.drop for case in cases_together]
            work += self._repairing(cases_together[0])
            pruned = [drop for drop in group if drop]
            if len(pruned) < len(group):
                work += of_dense(self.layers, windows)
            work += of_many(pruned, self.layers, windows, begun=self._begun(windows))
            for drop in pruned:  # one round more than are timed
                work += Work(alone=(REPEATS + 1) * (1 + self._left(drop)))
            for drop in group:
                work += self._task(drop)
        return work

    def _repairing(self, case: Case) -> Work:
        """What fitting a repair takes, in runs of blocks: the dense and the repaired stream, and as much to solve."""
        if not case.repair:
            return NOTHING
        windows = self.measurer.calibration_tokens(case.repair) / self.measurer.measured.length
        first = min((block.index for block in case.drop), default=0)
        runs = _FITTING * (self.layers - first) * windows
        if case.repair not in self.repairs:
            written = self.measurer.is_written(case.repair)
            runs += self.layers * windows * (1 if written else 1 + _WRITING)
            self.repairs.add(case.repair)
        return Work(attentions=runs, mlps=runs)

    def analysis(self) -> Work:
        """The analysis that contenders choose by, of all sites."""
        windows, sites = len(self.chooser.calibration), len(site_names(self.layers))
        runs = self.layers * windows
        return Work(attentions=runs, mlps=runs, sites=sites * windows) * len(self.analyses)

    def _chosen(self, entry: Contender) -> tuple[list[PruneSet], Work]:
        """The prune sets of a contender, or others of their sizes, and the work of choosing those not known."""
        try:
            return [choice.drop for choice in self.chooser.choose(entry, silent)], NOTHING
        except NotKnownError:
            pass
        drops: list[PruneSet] = []
        missing = 0
        for budget in self.budgets:
            known = self._known(entry, budget) if entry.criterion.order == "none" else None
            missing += known is None
            drops += [known] if known is not None else self._stand_in(entry, budget)
        largest = max(map(len, drops), default=0)
        return drops, self._work_of_choosing(entry, missing, largest)

    def _known(self, entry: Contender, budget: str) -> PruneSet | None:
        """What was chosen for one budget in an earlier run that was stopped."""
        try:
            return self.chooser.choose_for(entry, budget, silent).drop
        except (NotKnownError, EntvizError):
            return None

    def _stand_in(self, entry: Contender, budget: str) -> list[PruneSet]:
        """A random set for a budget; none for a budget that cannot be reached."""
        self.drawn += 1
        try:
            found = rank(
                self.loaded,
                self.chooser.calibration,
                Random(seed=1000 + self.drawn),  # random as a contender draws others
                level=entry.level,
                budget=budget,
                protect=entry.protect,
            )
        except EntvizError:
            return []
        return [found.drop]

    def _work_of_choosing(self, entry: Contender, missing: int, largest: int) -> Work:
        criterion, windows = entry.criterion, len(self.chooser.calibration)
        if isinstance(criterion, ByAnalysis):
            self.analyses.add(criterion.without_massive)
        if criterion.seconds_a_budget:
            self.analyses.add(False)  # for what it begins with
            return Work(seconds=criterion.seconds_a_budget * missing)
        runs = self.layers * windows
        work = NOTHING
        if criterion.needs == "model":
            work += Work(attentions=runs, mlps=runs) * missing
        blocks = self.layers * len(kinds_of(entry.level))
        evaluations = criterion.evaluations(blocks, largest)
        share = _SHARED * evaluations * runs
        if isinstance(criterion, ByAnalysis):  # it measures again, which is begun where the stream changes
            if criterion.repair:  # the pruned stream of the calibration text, up to each hole and through it
                work += Work(attentions=2 * evaluations * runs, mlps=2 * evaluations * runs)
            sites = _SHARED * evaluations * windows * len(kinds_of(entry.level)) * self.layers
            return work + Work(attentions=share, mlps=share, sites=sites)
        if evaluations:
            if not self.tries:
                work += of_dense(self.layers, windows)
                self.tries = True
            work += Work(attentions=share, mlps=share, projections=evaluations * windows)
        return work

    def _task(self, drop: PruneSet) -> Work:
        task = self.measurer.task
        if task is None:
            return NOTHING
        windows = len(task.items) * _TOKENS_AN_ITEM / self.measurer.measured.length
        runs = windows * self.layers * self._left(drop)
        return Work(attentions=runs, mlps=runs, projections=windows)

    def _left(self, drop: PruneSet) -> float:
        """The share of the layers' weights that is left, which is about that of the time."""
        return 1 - self._weights(drop) / self.all_weights

    def _weights(self, drop: PruneSet) -> int:
        return sum(weight.numel() for weight in self.loaded.anatomy.parameters(drop).values())

    def _begun(self, windows: int) -> bool:
        """Whether the hidden states of the dense model are kept at every layer."""
        anatomy = self.loaded.anatomy
        size = windows * self.measurer.measured.input_length * self.loaded.width * self.layers * 4
        return anatomy.resumable and size < default_capacity()
