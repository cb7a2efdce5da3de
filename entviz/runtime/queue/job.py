"""One piece of work that sessions wait for: its state, progress, partial and final result."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar, cast

from entviz.errors import EntvizError

T = TypeVar("T")


@dataclass(frozen=True)
class Snapshot(Generic[T]):
    """A job at one moment. ``state`` is queued, running, done, failed or cancelled.

    ``done`` of ``total`` steps were reported. ``partial`` is the latest partial result, or the result once the job is
    done. ``position`` is 1 for the queued job that starts next, 2 for the one after it, and 0 for jobs that are not
    queued. ``wait_seconds`` is a rough estimate of the time until it starts.
    """

    state: str = "queued"
    done: int = 0
    total: int = 0
    partial: object = None
    result: T | None = None
    error: EntvizError | None = None
    seconds: float = 0.0
    position: int = 0
    wait_seconds: float = 0.0

    @property
    def finished(self) -> bool:
        return self.state in ("done", "failed", "cancelled")


class Owner(Protocol):
    """The interface through which a job reports to its owner, which computes it."""

    def place(self, job: Job[Any]) -> tuple[int, float]:
        """A queued job's place (1 is next; 0 is not queued), and roughly how many seconds it still waits."""
        ...

    def touch(self, job: Job[Any], session: str) -> None:
        """Note that a session waits for the job, if it is unfinished."""
        ...

    def cancel(self, job: Job[Any], session: str | None) -> None:
        """Stop the job, if it is unfinished; with a session given, only if no other session waits for it."""
        ...

    def blocking(self, job: Job[Any]) -> AbstractContextManager[None]:
        """A context whose thread counts as waiting for the job."""
        ...


class Job(Generic[T]):
    """Work given to an owner such as a ``Worker``. Several sessions can wait for the same job."""

    def __init__(self, key: str, owner: Owner | None = None) -> None:
        self.key = key
        self._owner = owner
        self._view: Snapshot[T] = Snapshot()  # replaced as a whole, so that a reader never sees half a change
        self._finished = threading.Event()

    @classmethod
    def answered(cls, key: str, result: T) -> Job[T]:
        """A job that is already done, because its result was stored."""
        job = cls(key)
        job.publish(Snapshot("done", 1, 1, result, result))
        return job

    @classmethod
    def refused(cls, key: str, error: EntvizError) -> Job[T]:
        """A job that failed before it could start."""
        job = cls(key)
        job.publish(Snapshot("failed", error=error))
        return job

    def snapshot(self) -> Snapshot[T]:
        """The whole state of the job at one moment."""
        view = self.look()
        if view.state == "queued" and self._owner is not None:
            position, seconds = self._owner.place(self)
            return replace(view, position=position, wait_seconds=seconds)
        return view

    @property
    def state(self) -> str:
        return self.look().state

    @property
    def finished(self) -> bool:
        return self.look().finished

    @property
    def done(self) -> int:
        return self.look().done

    @property
    def total(self) -> int:
        return self.look().total

    @property
    def partial(self) -> object:
        return self.look().partial

    @property
    def error(self) -> EntvizError | None:
        return self.look().error

    @property
    def position(self) -> int:
        return self.snapshot().position

    @property
    def result(self) -> T:
        """The result. Raises the job's ``EntvizError`` if there is none, ``RuntimeError`` while unfinished."""
        view = self.look()
        if view.error is not None:
            # Several readers can raise the same error object, and each raise would make its traceback longer.
            raise view.error.with_traceback(None)
        if view.state != "done":
            raise RuntimeError(f"job {self.key} is {view.state}; wait for it first")
        return cast(T, view.result)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the job has finished, and say whether it has. A thread that blocks here counts as waiting."""
        if self._owner is None or self._finished.is_set():
            return True
        with self._owner.blocking(self):
            return self._finished.wait(timeout)

    def touch(self, session: str) -> None:
        """Say that ``session`` waits. A job is cancelled if no session has said so recently."""
        if self._owner is not None and not self.finished:
            self._owner.touch(self, session)

    def cancel(self, session: str | None = None) -> None:
        """Stop the job; with a session given, only if no other session waits for it."""
        if self._owner is not None and not self.finished:
            self._owner.cancel(self, session)

    def look(self) -> Snapshot[T]:
        """The same as :meth:`snapshot` without the place in the queue, which takes longer to find."""
        return self._view

    def publish(self, view: Snapshot[T]) -> None:
        """Replace the view that readers see; only for the job's owner. A finished view is final."""
        self._view = view
        if view.finished:
            self._finished.set()
