"""One piece of work that sessions wait for: its state, progress, partial and final result."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from entviz.errors import EntvizError

if TYPE_CHECKING:
    from entviz.jobs.worker import Turn, Worker

T = TypeVar("T")


@dataclass(frozen=True)
class Snapshot(Generic[T]):
    """A job at one moment. ``state`` is queued, running, done, failed or cancelled.

    ``done`` of ``total`` steps were reported; ``partial`` is the latest partial result, and the result once done.
    ``position`` is 1 for the next queued job to start, 0 for others; ``wait_seconds`` a rough guess until it does.
    """

    state: str = "queued"
    done: int = 0
    total: int = 0
    partial: object = None
    result: T | None = None
    error: EntvizError | None = None
    position: int = 0
    wait_seconds: float = 0.0

    @property
    def finished(self) -> bool:
        return self.state in ("done", "failed", "cancelled")


class Job(Generic[T]):
    """Work that was handed to a :class:`Worker`; several sessions may wait for the same job."""

    def __init__(
        self,
        key: str,
        worker: Worker | None = None,
        work: Callable[[Turn], T] | None = None,
        priority: int = 0,
    ) -> None:
        self.key = key
        self._worker = worker
        self._view: Snapshot[T] = Snapshot()  # replaced whole, so a reader never sees half a change
        self._finished = threading.Event()
        # What follows belongs to the worker, under its lock.
        self._work = work
        self._priority = priority
        self._waiters: dict[str, float] = {}  # session -> when it last showed interest
        self._blocked = 0  # threads inside wait()
        self._wants_turn = True
        self._last_turn = 0  # number of the turn that it had last
        self._device_seconds = 0.0
        self._ended_at = 0.0

    @classmethod
    def answered(cls, key: str, result: T) -> Job[T]:
        """A job that is done already: its result was at hand."""
        job = cls(key)
        job._finish(Snapshot("done", 1, 1, result, result))
        return job

    @classmethod
    def refused(cls, key: str, error: EntvizError) -> Job[T]:
        """A job that failed before it could start."""
        job = cls(key)
        job._finish(Snapshot("failed", error=error))
        return job

    def snapshot(self) -> Snapshot[T]:
        """Everything about the job at one moment."""
        view = self._look()
        if view.state == "queued" and self._worker is not None:
            position, seconds = self._worker._place(self)
            return replace(view, position=position, wait_seconds=seconds)
        return view

    @property
    def state(self) -> str:
        return self._look().state

    @property
    def finished(self) -> bool:
        return self._look().finished

    @property
    def done(self) -> int:
        return self._look().done

    @property
    def total(self) -> int:
        return self._look().total

    @property
    def partial(self) -> object:
        return self._look().partial

    @property
    def error(self) -> EntvizError | None:
        return self._look().error

    @property
    def position(self) -> int:
        return self.snapshot().position

    @property
    def result(self) -> T:
        """The result. Raises the job's ``EntvizError`` where there is none, ``RuntimeError`` while unfinished."""
        view = self._look()
        if view.error is not None:
            # Several readers may raise the same error: without this each would lengthen its traceback.
            raise view.error.with_traceback(None)
        if view.state != "done":
            raise RuntimeError(f"job {self.key} is {view.state}; wait for it first")
        return cast(T, view.result)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the job has finished, and say whether it has. Whoever blocks here counts as waiting."""
        if self._worker is None or self._finished.is_set():
            return True
        with self._worker._lock:
            self._blocked += 1
        try:
            return self._finished.wait(timeout)
        finally:
            with self._worker._lock:
                self._blocked -= 1

    def touch(self, session: str) -> None:
        """Say that ``session`` waits. Work for which nobody has said so lately is cancelled."""
        if self._worker is not None and not self.finished:
            self._worker._touch(self, session)

    def cancel(self, session: str | None = None) -> None:
        """Stop the job; with a session given, only if no other session waits for it."""
        if self._worker is not None and not self.finished:
            self._worker._cancel(self, session)

    def _look(self) -> Snapshot[T]:
        return self._view

    def _finish(self, view: Snapshot[T]) -> None:
        self._view = view
        self._work = None  # what the work closes over must not live as long as the job
        self._finished.set()
