"""A job whose result is quickly made from another job's, such as a ranking from an analysis."""

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
    """What ``make`` makes of the result of ``source``; anyone who waits for this, waits for that.

    Sessions that want different things of one result so share the work. ``make`` is called once, by the first who
    looks after the source is done, and should take milliseconds; an error in it is this job's alone.
    """

    def __init__(self, source: Job[S], make: Callable[[S], T]) -> None:
        super().__init__(source.key)
        self._source = source
        self._make = make
        self._making = threading.Lock()
        self._made: Snapshot[T] | None = None

    def snapshot(self) -> Snapshot[T]:
        """Everything about the job at one moment."""
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
        """Everything but the place in the queue."""
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
