"""Measure what prune sets cost and save, with a repair or without. Each case is measured once and stored at once.

for share, failed in measurer.measure([Case(drop), Case(drop, "refit")], progress):
    measurer.cells          # what each case costs, as far as it is measured
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from entviz.blocks import PruneSet
from entviz.comparison.grid.cell import Case, GridCell
from entviz.comparison.grid.texts import overlap
from entviz.decoder.precision import AUTO
from entviz.decoder.states import StateCache
from entviz.errors import EntvizError, ModelError, OptionError
from entviz.evaluation.loss import evaluate
from entviz.evaluation.many import PruneSetCost, evaluate_many
from entviz.evaluation.speed import reading_seconds
from entviz.evaluation.tasks import evaluate_task
from entviz.finite import cause
from entviz.models.loaded import LoadedModel
from entviz.part_cache import PartCache
from entviz.progress import Progress, part
from entviz.repair.choice import RepairChoice
from entviz.repair.fitted import size_of
from entviz.repair.fitting import fit
from entviz.repair.kept import Kept
from entviz.repair.repair import Repair
from entviz.repair.self_written import is_written, self_written
from entviz.statistics import cosine_averages
from entviz.tasks import Task
from entviz.text.windows import Windows

_TOGETHER = 6  # prune sets measured together; if the process dies, fewer than these are lost


class Measurer:
    """Measures prune sets on ``measured`` and, if there is one, on a task.

    Args:
        calibration: the windows that criteria choose by. Repairs are fitted on them and on text that the model writes
            itself; only on the latter if they overlap with ``measured``.

    Attributes:
        cells: the results, by case.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        measured: Windows,
        calibration: Windows,
        *,
        task: Task | None,
        begin: bool,
        dtype: str,
        cache: StateCache,
        kept: PartCache,
    ) -> None:
        self.loaded, self.measured = loaded, measured
        self.calibration = None if overlap(calibration, measured) else calibration
        self.repairing = Kept()
        self.task, self.begin, self.dtype = task, begin, dtype
        self.cache, self.kept = cache, kept
        self.cells: dict[Case, GridCell] = {}

    def measure(
        self, cases: Sequence[Case], progress: Progress
    ) -> Iterator[tuple[float, list[tuple[Case, EntvizError]]]]:
        """Measure the cases that are not stored yet, a few at a time, and store each.

        Yields, at the start and after each few, the finished share of the work, and the cases that cannot be measured,
        with the cause: the pruned model's numbers are not finite, or the repair does not fit the model or the text.

        Raises:
            ModelError: if the dense model's numbers are not finite, so that there is nothing to compare with.
        """
        todo = self.unknown(cases)
        yield 0.0, []
        done = 0
        for group in self.groups(todo):
            start, end = done / len(todo), (done + len(group)) / len(todo)
            yield end, self._measure_together(group, part(progress, start, end))
            done += len(group)

    def unknown(self, cases: Sequence[Case]) -> list[Case]:
        """Those cases, each once, of which nothing is known; what is kept of the others is taken over."""
        todo = []
        for case in dict.fromkeys(cases):
            known = None if case in self.cells else self.kept.get("cell", self._tokens, self._about(case))
            if known is not None:
                self.cells[case] = known
            elif case not in self.cells:
                todo.append(case)
        return todo

    def groups(self, cases: Sequence[Case]) -> list[list[Case]]:
        """The cases as they are measured, a few together that begin alike; each repaired one by itself."""
        ordered = sorted(cases, key=lambda case: _path(case.drop, self.loaded.layers))
        plain = [case for case in ordered if not case.repair]
        repaired = [[case] for case in ordered if case.repair]
        return [plain[first : first + _TOGETHER] for first in range(0, len(plain), _TOGETHER)] + repaired

    def _measure_together(self, group: Sequence[Case], progress: Progress) -> list[tuple[Case, EntvizError]]:
        if group[0].repair:
            return self._measure_repaired(group[0], progress)
        failed: list[tuple[Case, EntvizError]] = []
        costs = evaluate_many(
            self.loaded,
            self.measured,
            [case.drop for case in group],
            dtype=self.dtype,
            cache=self.cache,
            overflow=True,
            progress=progress if self.task is None else part(progress, 0, 0.5),
        )
        for place, (case, cost) in enumerate(zip(group, costs, strict=True)):
            start, end = (0.5 + 0.5 * number / len(group) for number in (place, place + 1))
            try:
                self._put(case, self._cell(cost, None, part(progress, start, end)))
            except ModelError as error:
                if not case.drop:
                    raise
                failed.append((case, error))
        return failed

    def _measure_repaired(self, case: Case, progress: Progress) -> list[tuple[Case, EntvizError]]:
        try:
            windows = self._calibration(case.repair, part(progress, 0, 0.2))
            repair = fit(
                self.loaded,
                windows,
                case.drop,
                case.repair,
                dtype=AUTO,
                kept=self.repairing,
                progress=part(progress, 0.2, 0.6),
            )
            found = evaluate(
                self.loaded,
                self.measured,
                case.drop,
                dtype=self.dtype,
                repair=repair,
                cache=self.cache,
                progress=part(progress, 0.6, 0.8),
            )
            cost = PruneSetCost(
                case.drop,
                cosine_averages(found.token_nll),
                cosine_averages(found.token_kl),
                found.agrees.mean(axis=1),
            )
            self._put(case, self._cell(cost, repair, part(progress, 0.8, 1)))
        except (ModelError, OptionError) as error:
            return [(case, error)]
        return []

    def _calibration(self, repair: str, progress: Progress) -> list[Windows]:
        """What a repair is fitted on: the text that criteria choose by, and text that the model writes itself."""
        windows, length = self._size(repair)
        written = self_written(self.loaded, windows=windows, length=length, progress=progress)
        return [written] if self.calibration is None else [self.calibration, written]

    def _size(self, repair: str) -> tuple[int, int]:
        return size_of(RepairChoice(repair), self.loaded)

    def calibration_tokens(self, repair: str) -> int:
        """How many tokens a repair is fitted on."""
        own = 0 if self.calibration is None else self.calibration.token_ids.numel()
        return own + math.prod(self._size(repair))

    def is_written(self, repair: str) -> bool:
        """Whether the text that the model writes for a repair is there already."""
        windows, length = self._size(repair)
        return is_written(self.loaded, windows=windows, length=length)

    def _put(self, case: Case, cell: GridCell) -> None:
        self.cells[case] = cell
        self.kept.put("cell", self._tokens, self._about(case), cell)

    def _cell(self, cost: PruneSetCost, repair: Repair | None, progress: Progress) -> GridCell:
        drop = cost.drop
        if not math.isfinite(cost.nll):
            running = self.loaded.in_dtype(self.dtype)
            raise cause(running, self.measured.inputs, drop)
        gone = self.loaded.anatomy.parameters(drop).values()
        dense_seconds = seconds = np.empty(0)
        if drop:
            running = self.loaded.in_dtype(self.dtype)
            dense_seconds, seconds = map(
                np.array, reading_seconds(running, self.measured, drop, repair=repair)
            )
        right = right_normalized = np.empty(0, dtype=bool)
        if self.task is not None:
            scored = evaluate_task(
                self.loaded,
                self.task,
                drop,
                dtype=self.dtype,
                begin=self.begin,
                repair=repair,
                progress=progress,
            )
            right, right_normalized = scored.right, scored.right_normalized
        return GridCell(
            drop=drop,
            window_nll=cost.window_nll,
            window_kl=cost.window_kl,
            window_agreement=cost.window_agreement,
            parameters=self.loaded.parameters
            - sum(weight.numel() for weight in gone)
            + (0 if repair is None else repair.parameters),
            seconds=seconds,
            dense_seconds=dense_seconds,
            right=right,
            right_normalized=right_normalized,
            nll_cosines=cost.nll_averages[:, 1:],
        )

    @property
    def _tokens(self) -> str:
        return self.measured.fingerprint

    def _about(self, case: Case) -> dict[str, Any]:
        """Everything that a cell depends on besides the model and the text."""
        repair = {}
        if case.repair:
            calibration = "" if self.calibration is None else self.calibration.fingerprint
            repair = {"repair": case.repair, "calibration": calibration}
        return repair | {
            "drop": str(case.drop),
            "dtype": self.dtype,
            "task": self.task.fingerprint if self.task is not None else "",
            "begin": self.begin,
        }


def _path(drop: PruneSet, layers: int) -> tuple[tuple[bool, bool], ...]:
    """A prune set as a sequence over the layers, for sorting: sets with the same first layers become neighbours."""
    return tuple((i in drop.attention, i in drop.mlp) for i in range(layers))
