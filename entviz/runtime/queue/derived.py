"""A job whose result is quickly derived from the result of another job, such as a ranking from an analysis."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeVar

from entviz.failure import in_a_sentence
from entviz.runtime.queue.job import Job, Snapshot

S = TypeVar("S")
T = TypeVar("T")


class Derived(Job[T], Generic[S, T]):
    """A job that derives its result from the result of ``source`` by calling ``make``.

    Waiting for this job is waiting for ``source``, so sessions that derive different results from one source share its
    work. ``make`` is called once, by the first reader after the source is done, and should take milliseconds. An error
    in ``make`` affects only this job.
    """

    def __init__(self, source: Job[S], make: Callable[[S], T]) -> None:
        super().__init__(source.key)
        self._source = source
        self._make = make
        self._making = threading.Lock()
        self._made: Snapshot[T] | None = None

    def snapshot(self) -> Snapshot[T]:
        """The whole state of the job at one moment."""
        source = self._source.snapshot()
        return replace(self.look(), position=source.position, wait_seconds=source.wait_seconds)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the source has finished, and say whether it has."""
        return self._source.wait(timeout)

    def touch(self, session: str) -> None:
        """Say that ``session`` waits."""
        self._source.touch(session)

    def cancel(self, session: str | None = None) -> None:
        """Stop the source; with a session given, only if no other session waits for it."""
        self._source.cancel(session)

    def look(self) -> Snapshot[T]:
        """The state of the job without its place in the queue."""
        source = self._source.look()
        if source.state != "done":
            return Snapshot(source.state, source.done, source.total, error=source.error)
        with self._making:
            if self._made is None:
                try:
                    result = self._make(self._source.result)
                    self._made = Snapshot("done", source.done, source.total, result, result)
                except Exception as error:  # noqa: BLE001 - every reader must get an answer
                    self._made = Snapshot("failed", error=in_a_sentence(f"job {self.key}", error))
            return self._made
