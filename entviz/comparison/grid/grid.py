"""Compare criteria: each one's prune set for each budget, and what it costs and saves on text it has not seen.

    comparison = compare(loaded, calibration, measured, ["entrodrop:knn", "cosine"], ["4", "8"], levels=["attn"])
    comparison.table()[["title", "budget", "perplexity", "speedup"]]
    verdict(comparison)                      # in words

Criteria choose by ``calibration`` and are measured on ``measured``. What several need is done once: those that only
measure share one analysis, those that try never run a set again that another has tried, a greedy run for the largest
budget holds those for the smaller ones, prune sets that begin alike share their layers, and one that two criteria
chose is measured once. Each part that is finished goes into ``kept``, so that a comparison that was stopped, or whose
process died, goes on where it was.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from entviz.analysis import Analysis, analyze, measurable
from entviz.blocks import Block, PruneSet
from entviz.comparison.grid.cell import Cell
from entviz.comparison.grid.contenders import Contender, contenders
from entviz.comparison.grid.part_cache import NoPartCache, PartCache
from entviz.comparison.grid.result import Comparison, empty_rows, row_of
from entviz.comparison.grid.speed import paired_seconds
from entviz.criteria import rank
from entviz.criteria.budget import Budget
from entviz.criteria.ranking import Ranking
from entviz.criteria.trial import Tried
from entviz.decoder.states import StateCache
from entviz.errors import EntvizError, ModelError, OptionError
from entviz.estimators import default_metrics
from entviz.evaluation.many import Cost, evaluate_many
from entviz.evaluation.precision import resolved
from entviz.evaluation.tasks import evaluate_task
from entviz.finite import cause
from entviz.models.loaded import LoadedModel
from entviz.models.notes import notes_on
from entviz.progress import Progress, silent
from entviz.tasks import Task
from entviz.text.windows import Windows

MOST_BUDGETS = 20
_TOGETHER = 6  # prune sets measured in one go; what is lost when the process dies is less than these
_STEPS = 1000  # of progress


@dataclass(frozen=True)
class _Choice:
    """A prune set that a contender chose for a budget."""

    contender: Contender
    budget: str
    drop: PruneSet


def compare(
    loaded: LoadedModel,
    calibration: Windows,
    measured: Windows,
    criteria: Sequence[str],
    budgets: Sequence[str],
    *,
    searched: Windows | None = None,
    levels: Sequence[str] = (),
    seeds: int = 3,
    seconds: float = 60.0,
    task: Task | None = None,
    limit: int | None = None,
    begin: bool = True,
    dtype: str = "float32",
    analysis: Analysis | None = None,
    cache: StateCache | None = None,
    kept: PartCache | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Measure the prune set of every criterion for every budget. The model is not changed.

    Args:
        calibration: what the criteria choose by.
        measured: what the prune sets are measured on; text that the criteria have not seen, where there is any.
        criteria: names, see :data:`entviz.comparison.grid.contenders.names`.
        budgets: what :meth:`entviz.criteria.budget.Budget.parse` reads, each above nothing.
        searched: what the search chooses by, if not ``calibration``. It tries few sets on many windows, so that in
            the same time it can use more text than criteria that try many sets.
        levels: layer, attn, mlp, attn+mlp; empty for each criterion's own.
        seeds: how many prune sets random draws for each budget.
        seconds: what the search may take for each budget.
        task: score its first ``limit`` items too.
        begin: whether to read its items with what the tokenizer puts before a text.
        dtype: the number type to evaluate in, or ``auto``; see :func:`entviz.evaluation.loss.evaluate`.
        analysis: of the calibration windows, where there is one already.
        cache: hidden states and dense predictions to start from.
        kept: where finished parts are kept, and looked for.
        progress: gets the :class:`Comparison` so far whenever rows are added.

    Raises:
        OptionError: for an unknown criterion, a budget that cannot be read, or a time that is none. A budget that
            one criterion cannot reach is a note in the result.
        ModelError: where the dense model's numbers are not finite, saying why. A prune set whose numbers are not is
            left out, with a note.
    """
    return _Run(
        loaded,
        calibration,
        measured,
        contenders(criteria, levels, seeds=seeds, seconds=seconds),
        _checked(budgets),
        searched=searched,
        task=None if task is None else task.first(limit),
        begin=begin,
        dtype=resolved(dtype, loaded.device),
        analysis=analysis,
        cache=cache if cache is not None else StateCache(),
        kept=kept or NoPartCache(),
        progress=progress,
    ).run()


class _Run:
    """One comparison under way."""

    def __init__(
        self,
        loaded: LoadedModel,
        calibration: Windows,
        measured: Windows,
        entries: tuple[list[Contender], list[str]],
        budgets: tuple[str, ...],
        *,
        searched: Windows | None,
        task: Task | None,
        begin: bool,
        dtype: str,
        analysis: Analysis | None,
        cache: StateCache,
        kept: PartCache,
        progress: Progress,
    ) -> None:
        self.loaded, self.calibration, self.measured = loaded, calibration, measured
        self.entries, self.notes = entries
        self.searched = calibration if searched is None else searched
        if self.searched is not calibration and any(
            entry.criterion.seconds_a_budget for entry in self.entries
        ):
            count, others = len(self.searched), len(calibration)
            self.notes.append(f"Search chose by {count} windows, the other criteria by {others}.")
        self.notes += notes_on(loaded, measured)
        self.budgets, self.task, self.dtype = budgets, task, dtype
        self.begin = begin
        self.analysis, self.cache, self.kept = analysis, cache, kept
        self._progress = progress
        self._from, self._to = 0.0, 0.0  # the part of the whole that the present piece of work is
        self.tried: dict[str, Tried] = {}  # by the criteria that try, which share much of it
        self._weights: dict[tuple[str, str], dict[Block, float]] = {}
        self.choices: list[_Choice] = []
        self.cells: dict[PruneSet, Cell] = {}
        self.missing = 0  # rows that a criterion could not give
        self.started = time.perf_counter()

    def run(self) -> Comparison:
        # Trying takes by far the longest, so what only measures is all there before it starts.
        quick = [entry for entry in self.entries if not entry.criterion.tries()]
        slow = [entry for entry in self.entries if entry.criterion.tries()]
        self._to = 0.03
        self._measure([PruneSet()])
        self._from, self._to = self._to, 0.1
        if any(entry.criterion.needs == "analysis" for entry in quick):
            self.analysis = self._analysis()
        pieces: list[tuple[float, list[Contender]]] = [(1.0, quick)] if quick else []
        pieces += [(5.0 if entry.criterion.seconds_a_budget else 2.0, [entry]) for entry in slow]
        whole, begun = sum(weight for weight, _ in pieces), 0.0
        for weight, group in pieces:
            start, end = 0.1 + 0.9 * begun / whole, 0.1 + 0.9 * (begun + weight) / whole
            begun += weight
            chosen = []
            self._from, self._to = start, start + 0.7 * (end - start) if group[0].criterion.tries() else start
            for entry in group:
                chosen += self._choose(entry)
            self.choices += chosen
            self._from, self._to = self._to, end
            self._measure([choice.drop for choice in chosen])
        return self._result()

    # Choosing

    def _analysis(self) -> Analysis:
        known = set(self.analysis.metrics) if self.analysis is not None else set()
        # The search seeds itself from the same analysis, as far as the windows are long enough for it.
        usual = measurable(default_metrics(), self.calibration.input_length)
        wanted = set(usual) | {entry.estimator for entry in self.entries if entry.estimator}
        if self.analysis is not None and wanted <= known:
            return self.analysis
        return analyze(self.loaded, self.calibration, tuple(sorted(wanted)), progress=self._report)

    def _choose(self, entry: Contender) -> list[_Choice]:
        """The contender's prune sets; a budget that it cannot reach becomes a note."""
        found = []
        parsed = [(text, Budget.parse(text)) for text in self.budgets]
        if entry.criterion.order != "none":
            for _, group in groupby(sorted(parsed, key=_by_unit), key=lambda each: each[1].unit):
                same_unit = list(group)
                try:
                    ranking = self._whole_order(entry, same_unit)
                except ModelError as error:  # whatever it drops, the numbers are not finite
                    for text, _ in same_unit:
                        self._leave_out(entry, text, error)
                    continue
                for text, budget in same_unit:
                    try:
                        count = budget.cut(ranking.order, self._saved(entry, budget, ranking))
                        found.append(_Choice(entry, text, PruneSet(ranking.order[:count])))
                    except OptionError as error:
                        self._leave_out(entry, text, error)
        else:
            for text, _ in parsed:
                try:
                    found.append(_Choice(entry, text, self._ranking(entry, text).drop))
                except (OptionError, ModelError) as error:
                    self._leave_out(entry, text, error)
        return found

    def _whole_order(self, entry: Contender, budgets: Sequence[tuple[str, Budget]]) -> Ranking:
        """The order that every one of these budgets, all of one unit and sorted, is the start of."""
        if entry.criterion.order == "all":
            return self._ranking(entry, "0")
        # The largest that can be reached: of what lies beyond it, cut() then says so.
        for text, _ in reversed(budgets[1:]):
            try:
                return self._ranking(entry, text)
            except (OptionError, ModelError):
                continue
        return self._ranking(entry, budgets[0][0])

    def _ranking(self, entry: Contender, budget: str) -> Ranking:
        options: dict[str, Any] = {
            "criterion": entry.criterion.name,
            "level": entry.level,
            "budget": budget,
            "dtype": self.dtype,
        }
        windows, analysis = self.calibration, self.analysis
        if entry.criterion.seconds_a_budget:
            options["seconds"] = entry.criterion.seconds_a_budget
            if self.searched is not self.calibration:
                windows, analysis = self.searched, None
        tokens = windows.fingerprint
        known: Ranking | None = self.kept.get("choice", tokens, options) if entry.criterion.tries() else None
        if known is not None:
            return known
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
            tried=self.tried,
            progress=self._report,
        )
        if entry.criterion.tries():
            self.kept.put("choice", tokens, options, ranking)
        return ranking

    def _saved(self, entry: Contender, budget: Budget, ranking: Ranking) -> dict[Block, float]:
        key = (entry.level, budget.unit)
        if key not in self._weights:
            blocks = [Block.parse(name) for name in ranking.scores["block"]]
            self._weights[key] = budget.weights(self.loaded, self.calibration, blocks)
        return self._weights[key]

    def _leave_out(self, entry: Contender, budget: str, error: EntvizError) -> None:
        self.missing += 1
        note = f"{entry.title} has no row for a budget of {budget} at level {entry.level}. {error}"
        if note not in self.notes:
            self.notes.append(note)

    # Measuring

    def _measure(self, drops: Sequence[PruneSet]) -> None:
        """Measure what is not known yet, a few prune sets at a time, and keep each."""
        todo = []
        for drop in dict.fromkeys(drops):
            known = None if drop in self.cells else self.kept.get("cell", self._tokens, self._about(drop))
            if known is not None:
                self.cells[drop] = known
            elif drop not in self.cells:
                todo.append(drop)
        if self.choices:
            self._tell(0.0)
        todo.sort(key=lambda drop: _path(drop, self.loaded.layers))
        for first in range(0, len(todo), _TOGETHER):
            group = todo[first : first + _TOGETHER]
            whole = (self._from, self._to)
            self._narrow(first / len(todo), (first + len(group)) / len(todo))
            costs = evaluate_many(
                self.loaded,
                self.measured,
                group,
                dtype=self.dtype,
                cache=self.cache,
                overflow=True,
                progress=self._first_half if self.task is not None else self._report,
            )
            for place, (drop, cost) in enumerate(zip(group, costs, strict=True)):
                try:
                    cell = self._cell(drop, cost, (place, len(group)))
                except ModelError as error:
                    if not drop:  # without the dense model's numbers there is nothing to compare with
                        raise
                    self._without_numbers(drop, error)
                    continue
                self.cells[drop] = cell
                self.kept.put("cell", self._tokens, self._about(drop), cell)
            self._tell(1.0)
            self._from, self._to = whole

    def _without_numbers(self, drop: PruneSet, error: ModelError) -> None:
        """Leave out what chose a prune set without which the model's numbers are not finite."""
        for choice in [choice for choice in self.choices if choice.drop == drop]:
            self.choices.remove(choice)
            self._leave_out(choice.contender, choice.budget, error)

    def _cell(self, drop: PruneSet, cost: Cost, place: tuple[int, int]) -> Cell:
        if not math.isfinite(cost.nll):
            running = self.loaded.in_dtype(self.dtype)
            raise cause(running, self.measured.inputs, drop)
        gone = self.loaded.anatomy.parameters(drop).values()
        dense_seconds = seconds = np.empty(0)
        if drop:
            dense_seconds, seconds = paired_seconds(self.loaded.in_dtype(self.dtype), self.measured, drop)
        right = right_normalized = np.empty(0, dtype=bool)
        if self.task is not None:

            def report(done: int, total: int, partial: object = None, /) -> None:
                number, count = place
                self._report(int(500 + 500 * (number + done / max(1, total)) / count), _STEPS)

            scored = evaluate_task(
                self.loaded, self.task, drop, dtype=self.dtype, begin=self.begin, progress=report
            )
            right, right_normalized = scored.right, scored.right_normalized
        return Cell(
            drop=drop,
            window_nll=cost.window_nll,
            window_kl=cost.window_kl,
            window_agreement=cost.window_agreement,
            parameters=self.loaded.parameters - sum(weight.numel() for weight in gone),
            seconds=seconds,
            dense_seconds=dense_seconds,
            right=right,
            right_normalized=right_normalized,
            nll_cosines=cost.nll_averages[:, 1:],
        )

    @property
    def _tokens(self) -> str:
        return self.measured.fingerprint

    def _about(self, drop: PruneSet) -> dict[str, Any]:
        """What a cell depends on, besides the model and the text."""
        return {
            "drop": str(drop),
            "dtype": self.dtype,
            "task": self.task.fingerprint if self.task is not None else "",
            "begin": self.begin,
        }

    # Telling

    def _narrow(self, start: float, end: float) -> None:
        width = self._to - self._from
        self._from, self._to = self._from + start * width, self._from + end * width

    def _first_half(self, done: int, total: int, partial: object = None, /) -> None:
        self._report(done, 2 * total)

    def _report(self, done: int, total: int, partial: object = None, /) -> None:
        """Progress of a piece of work, as progress of the whole; its own partial result is nobody's business."""
        share = self._from + (self._to - self._from) * min(1.0, done / max(1, total))
        self._progress(int(share * _STEPS), _STEPS)

    def _tell(self, share: float) -> None:
        """Progress, with the comparison so far."""
        self._progress(int((self._from + (self._to - self._from) * share) * _STEPS), _STEPS, self._result())

    def _result(self) -> Comparison:
        dense, read = self.cells[PruneSet()], self.measured.input_length
        place = {entry: number for number, entry in enumerate(self.entries)}
        known = [choice for choice in self.choices if choice.drop in self.cells]
        known.sort(key=lambda choice: (place[choice.contender], self.budgets.index(choice.budget)))
        rows = [
            row_of(
                each.contender.name,
                each.contender.criterion.name,
                each.contender.estimator,
                each.contender.seed,
                each.contender.level,
                each.budget,
            )
            | self.cells[each.drop].numbers(dense, read)
            for each in known
        ]
        timed = [cell.dense_seconds for cell in self.cells.values() if cell.dense_seconds.size]
        untouched = dense.numbers(dense, read)
        if timed:
            untouched["tokens_per_second"] = read / float(np.median(np.concatenate(timed)))
        return Comparison(
            model=self.loaded.name,
            layers=self.loaded.layers,
            calibration_windows=len(self.calibration),
            windows=len(self.measured),
            window_length=self.measured.length,
            overlap=_overlap(self.calibration, self.measured),
            budgets=self.budgets,
            task=self.task.name if self.task is not None else "",
            items=len(self.task.items) if self.task is not None else 0,
            dtype=self.dtype,
            dense=pd.DataFrame([untouched]),
            rows=pd.DataFrame(rows) if rows else empty_rows(),
            notes=tuple(self.notes),
            rows_total=len(self.entries) * len(self.budgets) - self.missing,
            seconds=time.perf_counter() - self.started,
        )


def _checked(budgets: Sequence[str]) -> tuple[str, ...]:
    """The budgets without repetition, the smallest first within a unit."""
    parsed = {text.strip(): Budget.parse(text) for text in budgets}
    if not 1 <= len(parsed) <= MOST_BUDGETS:
        raise OptionError(f"Give 1 to {MOST_BUDGETS} budgets, such as 4, 8, 12.")
    for text, budget in parsed.items():
        if budget.amount <= 0:
            raise OptionError(f"A budget of {text} drops nothing: start from 1.")
    return tuple(text for text, _ in sorted(parsed.items(), key=_by_unit))


def _by_unit(each: tuple[str, Budget]) -> tuple[str, float]:
    return each[1].unit, each[1].amount


def _path(drop: PruneSet, layers: int) -> tuple[tuple[bool, bool], ...]:
    """A prune set as the way down the layers; sets that begin alike are neighbours when sorted by it."""
    return tuple((i in drop.attention, i in drop.mlp) for i in range(layers))


def _overlap(calibration: Windows, measured: Windows) -> bool:
    """Whether a window of one is a window of the other."""
    seen = {tuple(row) for row in calibration.token_ids.tolist()}
    return any(tuple(row) in seen for row in measured.token_ids.tolist())
