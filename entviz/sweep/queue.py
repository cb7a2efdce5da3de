"""What of a sweep is still to do, and what has to be done first; nothing here runs or waits.

    queue = Queue(missing, asking.choice_key)
    task = queue.take("smollm2-135m")        # a choice of blocks, or a cell whose blocks are chosen
    queue.finish(task)                       # or queue.fail(task, reason), or queue.lose(task, reason)

A choice that several cells share is made once. Its cells become ready when it is finished, and fail when it fails.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from entviz.sweep.cells import Cell

ATTEMPTS = 2


@dataclass(frozen=True)
class Task:
    """A piece of work for one worker.

    Attributes:
        cell: the cell; for a choice, one of the cells that it is made for.
        choice: what the choice is told apart by; None if the cell itself is to be measured.
    """

    cell: Cell
    choice: str | None = None


class Queue:
    """The tasks of cells, in their order.

    Args:
        cells: the cells that are missing.
        choice_key: what a cell's choice is told apart by; None for a cell without one.
    """

    def __init__(self, cells: Iterable[Cell], choice_key: Callable[[Cell], str | None]) -> None:
        self._ready: dict[str, deque[Task]] = {}
        self._waiting: dict[str, list[Cell]] = defaultdict(list)
        self._attempts: Counter[Task] = Counter()
        self._running: set[Task] = set()
        for cell in cells:
            ready = self._ready.setdefault(cell.model, deque())
            key = choice_key(cell)
            if key is None:
                ready.append(Task(cell))
                continue
            if key not in self._waiting:
                ready.append(Task(cell, key))
            self._waiting[key].append(cell)

    def takeable(self) -> dict[str, int]:
        """How many tasks of each model can be taken now; models with none are left out."""
        return {model: len(ready) for model, ready in self._ready.items() if ready}

    def expects(self, model: str) -> bool:
        """Whether a model has tasks that can be taken now or later: cells that wait for a choice."""
        return bool(self._ready.get(model)) or any(
            cell.model == model for cells in self._waiting.values() for cell in cells[:1]
        )

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do or under way."""
        return not self._running and not self.takeable()

    def take(self, model: str) -> Task | None:
        """The next task of a model; None if there is none now."""
        ready = self._ready.get(model)
        if not ready:
            return None
        task = ready.popleft()
        self._running.add(task)
        return task

    def finish(self, task: Task) -> None:
        """A task is done."""
        self._running.discard(task)
        if task.choice is not None:
            cells = self._waiting.pop(task.choice, [])
            # Before other choices: what is chosen is measured soon, so that a table fills from the start.
            self._ready[task.cell.model].extendleft(Task(cell) for cell in reversed(cells))

    def fail(self, task: Task) -> list[Cell]:
        """A task cannot be done; returns the cells that have no numbers therefore."""
        self._running.discard(task)
        return [task.cell] if task.choice is None else self._waiting.pop(task.choice, [])

    def lose(self, task: Task) -> list[Cell]:
        """A task was lost with its worker. It is tried again; the last time, it fails as in :meth:`fail`."""
        self._attempts[task] += 1
        if self._attempts[task] >= ATTEMPTS:
            return self.fail(task)
        self._running.discard(task)
        self._ready[task.cell.model].appendleft(task)
        return []
