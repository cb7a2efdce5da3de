"""Measure what prune sets cost and save. Each is measured once and stored at once.

for share, failed in measurer.measure(drops, progress):
    measurer.cells          # what each prune set costs, as far as it is measured
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from entviz.blocks import PruneSet
from entviz.comparison.grid.cell import GridCell
from entviz.decoder.states import StateCache
from entviz.errors import ModelError
from entviz.evaluation.many import PruneSetCost, evaluate_many
from entviz.evaluation.speed import reading_seconds
from entviz.evaluation.tasks import evaluate_task
from entviz.finite import cause
from entviz.models.loaded import LoadedModel
from entviz.part_cache import PartCache
from entviz.progress import Progress, part
from entviz.tasks import Task
from entviz.text.windows import Windows

_TOGETHER = 6  # prune sets measured together; if the process dies, fewer than these are lost


class Measurer:
    """Measures prune sets on ``measured`` and, if there is one, on a task.

    Attributes:
        cells: the results, by prune set.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        measured: Windows,
        *,
        task: Task | None,
        begin: bool,
        dtype: str,
        cache: StateCache,
        kept: PartCache,
    ) -> None:
        self.loaded, self.measured = loaded, measured
        self.task, self.begin, self.dtype = task, begin, dtype
        self.cache, self.kept = cache, kept
        self.cells: dict[PruneSet, GridCell] = {}

    def measure(
        self, drops: Sequence[PruneSet], progress: Progress
    ) -> Iterator[tuple[float, list[tuple[PruneSet, ModelError]]]]:
        """Measure the prune sets that are not stored yet, a few at a time, and store each.

        Yields, at the start and after each few, the finished share of the work, and the prune sets for which the pruned
        model's numbers are not finite, with the cause.

        Raises:
            ModelError: if the dense model's numbers are not finite, so that there is nothing to compare with.
        """
        todo = self.unknown(drops)
        yield 0.0, []
        done = 0
        for group in self.groups(todo):
            start, end = done / len(todo), (done + len(group)) / len(todo)
            yield end, self._measure_together(group, part(progress, start, end))
            done += len(group)

    def unknown(self, drops: Sequence[PruneSet]) -> list[PruneSet]:
        """Those prune sets, each once, of which nothing is known; what is kept of the others is taken over."""
        todo = []
        for drop in dict.fromkeys(drops):
            known = None if drop in self.cells else self.kept.get("cell", self._tokens, self._about(drop))
            if known is not None:
                self.cells[drop] = known
            elif drop not in self.cells:
                todo.append(drop)
        return todo

    def groups(self, drops: Sequence[PruneSet]) -> list[list[PruneSet]]:
        """The prune sets as they are measured, a few together that begin alike."""
        ordered = sorted(drops, key=lambda drop: _path(drop, self.loaded.layers))
        return [ordered[first : first + _TOGETHER] for first in range(0, len(ordered), _TOGETHER)]

    def _measure_together(
        self, group: Sequence[PruneSet], progress: Progress
    ) -> list[tuple[PruneSet, ModelError]]:
        failed = []
        costs = evaluate_many(
            self.loaded,
            self.measured,
            group,
            dtype=self.dtype,
            cache=self.cache,
            overflow=True,
            progress=progress if self.task is None else part(progress, 0, 0.5),
        )
        for place, (drop, cost) in enumerate(zip(group, costs, strict=True)):
            start, end = (0.5 + 0.5 * number / len(group) for number in (place, place + 1))
            try:
                cell = self._cell(drop, cost, part(progress, start, end))
            except ModelError as error:
                if not drop:
                    raise
                failed.append((drop, error))
                continue
            self.cells[drop] = cell
            self.kept.put("cell", self._tokens, self._about(drop), cell)
        return failed

    def _cell(self, drop: PruneSet, cost: PruneSetCost, progress: Progress) -> GridCell:
        if not math.isfinite(cost.nll):
            running = self.loaded.in_dtype(self.dtype)
            raise cause(running, self.measured.inputs, drop)
        gone = self.loaded.anatomy.parameters(drop).values()
        dense_seconds = seconds = np.empty(0)
        if drop:
            running = self.loaded.in_dtype(self.dtype)
            dense_seconds, seconds = map(np.array, reading_seconds(running, self.measured, drop))
        right = right_normalized = np.empty(0, dtype=bool)
        if self.task is not None:
            scored = evaluate_task(
                self.loaded, self.task, drop, dtype=self.dtype, begin=self.begin, progress=progress
            )
            right, right_normalized = scored.right, scored.right_normalized
        return GridCell(
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
        """Everything that a cell depends on besides the model and the text."""
        return {
            "drop": str(drop),
            "dtype": self.dtype,
            "task": self.task.fingerprint if self.task is not None else "",
            "begin": self.begin,
        }


def _path(drop: PruneSet, layers: int) -> tuple[tuple[bool, bool], ...]:
    """A prune set as a sequence over the layers, for sorting: sets with the same first layers become neighbours."""
    return tuple((i in drop.attention, i in drop.mlp) for i in range(layers))
