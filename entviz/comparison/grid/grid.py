"""Compare criteria by the costs and savings of their prune sets for each budget, on text not used to choose.

    comparison = compare(loaded, calibration, measured, ["entrodrop:knn", "cosine"], ["4", "8"], levels=["attn"])
    comparison.table()[["title", "budget", "perplexity", "speedup"]]
    verdict(comparison)                      # in words

Criteria choose by ``calibration`` and are measured on ``measured``. Shared work is done once: all criteria that need an
analysis share one; criteria that try prune sets never try a set that another has tried; a greedy run for the largest
budget contains those for smaller budgets; prune sets with the same first layers share these; and a prune set chosen by
two criteria is measured once. Each finished part is stored in ``kept``, so that a comparison that was stopped, or whose
process died, resumes at the same point.

Source: criteria at growing budgets, as Yang et al. 2025, "Entropy-Based Block Pruning for Efficient Large Language
Models" (arXiv 2504.03794), compare EntroDrop with cosine similarity.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from entviz.analysis import Analysis, measurable
from entviz.comparison.grid.cell import Case
from entviz.comparison.grid.choosing import Chooser, Chosen, by_unit
from entviz.comparison.grid.contenders import Contender, contenders
from entviz.comparison.grid.estimate import Estimate
from entviz.comparison.grid.measuring import Measurer
from entviz.comparison.grid.plan import GridPlan, plan_of
from entviz.comparison.grid.result import Comparison, empty_rows, row_of
from entviz.comparison.grid.texts import overlap
from entviz.criteria import ByAnalysis
from entviz.criteria.budget import Budget
from entviz.decoder.precision import resolved
from entviz.decoder.states import StateCache
from entviz.errors import EntvizError, OptionError
from entviz.estimators import default_metrics
from entviz.evaluation.pace import Pace, pace
from entviz.models.loaded import LoadedModel
from entviz.models.notes import notes_on
from entviz.part_cache import NoPartCache, PartCache
from entviz.progress import STEPS, Progress, part, silent
from entviz.tasks import Task
from entviz.text.windows import Windows

MOST_BUDGETS = 20


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
        calibration: the windows that the criteria choose by.
        measured: the windows on which the prune sets are measured. They should not overlap with ``calibration``.
        criteria: names, see :mod:`entviz.comparison.grid.contenders`.
        budgets: budgets that :meth:`entviz.criteria.budget.Budget.parse` reads, each above 0.
        searched: the windows that the search chooses by, if not ``calibration``. The search tries few sets on many
            windows, so in the same time it can use more text than criteria that try many sets.
        levels: layer, attn, mlp, attn+mlp; empty for each criterion's own.
        seeds: how many random prune sets are drawn for each budget.
        seconds: the time of the search for each budget.
        task: a multiple-choice task; its first ``limit`` items are scored too.
        begin: whether each item begins with the tokenizer's beginning token.
        dtype: the number type to evaluate in, or ``auto``; see :func:`entviz.evaluation.loss.evaluate`.
        analysis: an analysis of the calibration windows, if there is one.
        cache: hidden states and dense predictions to start from.
        kept: the store for finished parts.
        progress: receives the :class:`Comparison` so far whenever rows are added.

    Raises:
        OptionError: for an unknown criterion, a budget that cannot be read, or an invalid time. If a criterion cannot
            reach a budget, the result has a note.
        ModelError: if the dense model's numbers are not finite; the message says why. A prune set whose numbers are not
            finite is left out, with a note.
    """
    return _GridRun(
        loaded,
        calibration,
        measured,
        criteria,
        budgets,
        searched=searched,
        levels=levels,
        seeds=seeds,
        seconds=seconds,
        task=task,
        limit=limit,
        begin=begin,
        dtype=dtype,
        analysis=analysis,
        cache=cache,
        kept=kept,
        progress=progress,
    ).run()


def estimate(
    loaded: LoadedModel,
    calibration: Windows,
    measured: Windows,
    criteria: Sequence[str],
    budgets: Sequence[str],
    **options: Any,
) -> Estimate:
    """How long :func:`compare` would take here and now: its work is counted, and some of each kind of it is timed.

    The arguments are those of :func:`compare`; ``progress`` may raise to stop. What is kept counts nothing. Raises as
    :func:`compare` does.
    """
    return _GridRun(loaded, calibration, measured, criteria, budgets, **options).estimate()


class _GridRun:
    """One comparison, before and while it is under way."""

    def __init__(
        self,
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
    ) -> None:
        self.loaded, self.calibration, self.measured = loaded, calibration, measured
        self.entries, self.notes = contenders(criteria, levels, seeds=seeds, seconds=seconds)
        searched = calibration if searched is None else searched
        if searched is not calibration and any(entry.criterion.seconds_a_budget for entry in self.entries):
            count, others = len(searched), len(calibration)
            self.notes.append(f"Search chose by {count} windows, the other criteria by {others}.")
        self.notes += notes_on(loaded, measured)
        self.budgets, self.task = _checked(budgets), None if task is None else task.first(limit)
        self.dtype, self.progress = resolved(dtype, loaded.device), progress
        cache, kept = cache if cache is not None else StateCache(), kept or NoPartCache()
        self.chooser, self.knowing = (
            Chooser(
                loaded,
                calibration,
                searched,
                self.budgets,
                dtype=self.dtype,
                analysis=analysis,
                cache=cache,
                kept=kept,
                leave_out=leave_out,
                only_known=only_known,
            )
            for leave_out, only_known in ((self._leave_out, False), (lambda *_: None, True))
        )
        self.measurer = Measurer(
            loaded,
            measured,
            calibration,
            task=self.task,
            begin=begin,
            dtype=self.dtype,
            cache=cache,
            kept=kept,
        )
        self.choices: list[Chosen] = []
        self.missing = 0  # rows for which a criterion could not choose blocks
        self.started = time.perf_counter()

    def estimate(self) -> Estimate:
        """How long it takes here and now."""
        plan = self._plan()
        seconds = plan.seconds(self._pace()) if plan.takes_time else 0.0
        return Estimate(plan.prune_sets, seconds)

    def run(self) -> Comparison:
        plan = self._plan()
        spans = self._spans(plan)
        self._measure([Case()], *next(spans))
        span = next(spans)
        if any(isinstance(entry.criterion, ByAnalysis) for entry in self.entries):
            self.chooser.analyze(self.entries, part(self.progress, *span))
        for piece in plan.pieces:
            start, end = next(spans)
            step, chosen = (end - start) / len(piece.entries), []
            for number, entry in enumerate(piece.entries):
                here = part(self.progress, start + number * step, start + (number + 1) * step)
                chosen += self.chooser.choose(entry, here)
            self.choices += chosen
            self._measure([choice.case for choice in chosen], *next(spans))
        return self._result()

    def _plan(self) -> GridPlan:
        return plan_of(self.knowing, self.measurer, self.entries, self.budgets)

    def _pace(self) -> Pace:
        usual = measurable(default_metrics(), self.calibration.input_length)
        metrics = {*usual, *(entry.estimator for entry in self.entries if entry.estimator)}

        def tick(_done: int, _total: int, _partial: object = None, /) -> None:
            self.progress(0, STEPS)

        return pace(self.loaded, self.measured, dtype=self.dtype, metrics=sorted(metrics), progress=tick)

    def _spans(self, plan: GridPlan) -> Iterator[tuple[float, float]]:
        """The parts of the whole, as shares of its time, so that progress tells how long it will still take."""
        times = [1.0 for _ in plan.works]
        if plan.takes_time:
            found = self._pace()
            times = [found.seconds(work) for work in plan.works]
        ends = np.cumsum(times) / sum(times)
        return pairwise([0.0, *map(float, ends)])

    def _measure(self, cases: Sequence[Case], start: float, end: float) -> None:
        """Measure cases, and report after each few. This is the part of the work from ``start`` to ``end``."""
        for share, failed in self.measurer.measure(cases, part(self.progress, start, end)):
            for case, error in failed:
                for choice in [choice for choice in self.choices if choice.case == case]:
                    self.choices.remove(choice)
                    self._leave_out(choice.contender, choice.budget, error)
            if self.choices or share:
                done = start + (end - start) * share
                self.progress(int(STEPS * done), STEPS, self._result())

    def _leave_out(self, entry: Contender, budget: str, error: EntvizError) -> None:
        self.missing += 1
        note = f"{entry.title} has no row for a budget of {budget} at level {entry.level}. {error}"
        if note not in self.notes:
            self.notes.append(note)

    def _result(self) -> Comparison:
        cells = self.measurer.cells
        dense, read = cells[Case()], self.measured.input_length
        place = {entry: number for number, entry in enumerate(self.entries)}
        known = [choice for choice in self.choices if choice.case in cells]
        known.sort(key=lambda choice: (place[choice.contender], self.budgets.index(choice.budget)))
        rows = [
            row_of(
                each.contender.name,
                each.contender.criterion.name,
                each.contender.estimator,
                each.contender.seed,
                each.contender.level,
                each.budget,
                each.contender.repair,
            )
            | cells[each.case].numbers(dense, read)
            for each in known
        ]
        timed = [cell.dense_seconds for cell in cells.values() if cell.dense_seconds.size]
        untouched = dense.numbers(dense, read)
        if timed:
            untouched["tokens_per_second"] = read / float(np.median(np.concatenate(timed)))
        return Comparison(
            model=self.loaded.name,
            layers=self.loaded.layers,
            calibration_windows=len(self.calibration),
            windows=len(self.measured),
            window_length=self.measured.length,
            overlap=overlap(self.calibration, self.measured),
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
    return tuple(text for text, _ in sorted(parsed.items(), key=by_unit))
