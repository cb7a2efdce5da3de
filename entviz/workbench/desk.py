"""Where pages ask: what is known is answered at once, and for the rest there is a job in the queue."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from entviz.errors import EntvizError
from entviz.jobs import Job, Turn, Worker
from entviz.workbench.keys import asked_key
from entviz.workbench.rest import Rest

if TYPE_CHECKING:
    from entviz.store import Store
    from entviz.workbench.tasks import Task
    from entviz.workbench.workshop import Workshop

T = TypeVar("T")


class Desk:
    """Answers from the store, or has the worker compute in the workshop. Bad input gives a failed job.

    ``session`` says who asks; what the session asked for before in the same ``slot`` it then no longer waits for.
    ``priority`` orders a session's own jobs, the highest first.
    """

    def __init__(self, worker: Worker, store: Store, workshop: Workshop, rest: Rest) -> None:
        self._worker = worker
        self._store = store
        self._workshop = workshop
        self._rest = rest

    def ask(self, make: Callable[[], Task[T]], session: str, slot: str | None, priority: int = 0) -> Job[T]:
        """The result of the task that ``make`` returns, which may raise ``EntvizError``."""
        try:
            task = make()
        except EntvizError as error:
            return Job.refused("refused", error)
        key, identity = asked_key(task)
        known: T | None = self._store.answer(key) if identity is not None else None
        if known is None:
            work = partial(self._workshop.do, task, key if identity is not None else None)
            return self.submit(key, work, session, slot, priority)
        if slot is not None:
            self._worker.withdraw(session, slot)
        return Job.answered(key, known)

    def knows(self, task: Task[Any]) -> bool:
        """Whether the task's result is in the store."""
        key, identity = asked_key(task)
        return identity is not None and self._store.answer(key) is not None

    def submit(
        self, key: str, work: Callable[[Turn], T], session: str, slot: str | None, priority: int = 0
    ) -> Job[T]:
        """A job for work that no task describes. Whoever asks for the same ``key`` shares it."""

        def disturbing(progress: Turn) -> T:
            try:
                return work(progress)
            finally:
                self._rest.disturb()

        try:
            return self._worker.submit(key, disturbing, session=session, slot=slot, priority=priority)
        except EntvizError as error:
            return Job.refused(key, error)
