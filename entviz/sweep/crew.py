"""Do the tasks of a queue in this process, one after the other.

    crew = Alone(config, store)
    crew.work(queue, report)

Another crew, such as the one of :mod:`entviz.sweep.rays`, has the same method.
"""

from __future__ import annotations

from typing import Protocol

from entviz.store import Store
from entviz.sweep.config import SweepConfig
from entviz.sweep.queue import Queue, Task
from entviz.sweep.work import FINISHED, REFUSED, CellWorker, Outcome


class Report(Protocol):
    """Called when a task has ended, and once with each cell that has failed."""

    def finished(self, task: Task, outcome: Outcome) -> None:
        """A task is done, and its result is stored."""
        ...

    def failed(self, task: Task, reason: str) -> None:
        """A cell has no numbers, for a reason that is a sentence. ``task.choice`` is None."""
        ...

    def again(self, task: Task, reason: str) -> None:
        """A task was lost and will be tried again."""
        ...

    def alive(self) -> None:
        """Called now and then while nothing ends."""
        ...


class Crew(Protocol):
    """Workers that do all tasks of a queue."""

    def work(self, queue: Queue, report: Report) -> None:
        """Do every task. Raises ``StoreError`` if results cannot be stored, ``OptionError`` if there is no worker."""
        ...


class Alone:
    """One worker, in this process."""

    def __init__(self, config: SweepConfig, store: Store) -> None:
        self._config, self._store = config, store

    def work(self, queue: Queue, report: Report) -> None:
        """Do every task, one model after the other."""
        worker = CellWorker(self._config, self._store)
        while models := queue.takeable():
            task = queue.take(next(iter(models)))
            if task is not None:
                ended(queue, report, task, worker.run(task))


def ended(queue: Queue, report: Report, task: Task, outcome: Outcome) -> None:
    """Note how a task ended, in the queue and in the report."""
    if outcome.state == FINISHED:
        queue.finish(task)
        report.finished(task, outcome)
        return
    lost = queue.fail(task) if outcome.state == REFUSED else queue.lose(task)
    if not lost:
        report.again(task, outcome.reason)
    for cell in lost:
        report.failed(Task(cell), outcome.reason)
