"""Run a sweep: ask the store first, let a crew do the rest, and keep a record that a page can show meanwhile.

table = sweep(config, store, Alone(config, store), told=print)
"""

from __future__ import annotations

import time
from collections.abc import Callable

from entviz.progress import Progress, silent
from entviz.store import Store
from entviz.sweep.cells import Asking, cells_of
from entviz.sweep.config import SweepConfig
from entviz.sweep.crew import Crew
from entviz.sweep.queue import Queue, Task
from entviz.sweep.record import Record
from entviz.sweep.table import DONE, FAILED, Row, SweepTable
from entviz.sweep.work import Outcome, known

RECORD_SECONDS = 2.0  # between two writes of the record


def _ignored(_sentence: str) -> None:
    """Ignore a sentence; the default."""


def sweep(
    config: SweepConfig,
    store: Store,
    crew: Crew,
    *,
    progress: Progress = silent,
    told: Callable[[str], None] = _ignored,
) -> SweepTable:
    """The table of a sweep. Only cells that are not stored are computed; each is stored as soon as it is finished.

    Args:
        crew: who does the work.
        progress: called with the numbers of ended cells and of all cells.
        told: called with a sentence when a cell fails, or is tried again.

    Raises:
        OptionError: for a criterion, level, budget or repair that does not exist.
        StoreError: if results cannot be stored.
    """
    table = begun(config, store, told=told)
    missing = table.missing
    record = Record(config, store)
    watch = _Watch(table, record, progress, told)
    try:
        watch.write()
        if missing:
            crew.work(Queue(missing, Asking(config).choice_key), watch)
    finally:  # also when it is interrupted: the record then says what is missing
        watch.write()
    return table


def begun(config: SweepConfig, store: Store | None, *, told: Callable[[str], None] = _ignored) -> SweepTable:
    """The table with what is stored already; loads no model. Raises as :func:`sweep` does."""
    cells, notes = cells_of(config)
    for sentence in notes:
        told(sentence)
    asking, table = Asking(config), SweepTable.of(cells)
    if store is not None:
        for cell in cells:
            numbers = known(asking, cell, store)
            if numbers is not None:
                table.put(Row(cell, DONE, numbers, known=True))
    return table


class _Watch:
    """Puts what ends into the table, and tells of it."""

    def __init__(
        self, table: SweepTable, record: Record, progress: Progress, told: Callable[[str], None]
    ) -> None:
        self._table, self._record = table, record
        self._progress, self._told = progress, told
        self._written = 0.0

    def finished(self, task: Task, outcome: Outcome) -> None:
        if task.choice is None:
            self._table.put(Row(task.cell, DONE, outcome.numbers))
        self.alive()

    def failed(self, task: Task, reason: str) -> None:
        self._table.put(Row(task.cell, FAILED, reason=reason))
        self._told(f"{task.cell.title}: failed. {reason}")
        self.alive()

    def again(self, task: Task, reason: str) -> None:
        self._told(f"{task.cell.title}: tried again. {reason}")
        self.alive()

    def alive(self) -> None:
        counts = self._table.counts()
        self._progress(counts[DONE] + counts[FAILED], sum(counts.values()))
        if time.monotonic() - self._written > RECORD_SECONDS:
            self.write()

    def write(self) -> None:
        """Write the record now."""
        self._record.write(self._table)
        self._written = time.monotonic()
