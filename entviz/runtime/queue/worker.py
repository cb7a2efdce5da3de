"""The worker of one device, which decides which jobs are live and which of them computes.

Each live job has a thread, and only the job that holds the *turn* computes. The turn can move on whenever work reports
progress: if a session's quantum is used up and others want to compute, the report blocks until the ring reaches the
session again. Long jobs thus share the device fairly, and none is aborted.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from entviz.errors import Cancelled, EntvizError
from entviz.failure import in_a_sentence
from entviz.runtime.queue.job import Job, Snapshot
from entviz.runtime.queue.ring import Ring

T = TypeVar("T")

URGENT_OF = 4  # turns; one in this many goes to jobs that are not urgent, however many are urgent
FAILURES_KEPT = 10.0  # seconds; a page that polls must not run a failed job again and again


class QueueFull(EntvizError):
    """More work is waiting than the worker accepts."""


class Turn(ABC):
    """The object to which a job's work reports its progress. It also stands for the use of the device."""

    @abstractmethod
    def __call__(self, done: int, total: int, partial: object = None, /) -> None:
        """Report progress; blocks while others have the turn. Raises ``Cancelled`` if the job was cancelled."""

    @abstractmethod
    def aside(self) -> AbstractContextManager[None]:
        """A context in which others may compute, for work that does not need the device, such as a download."""


@dataclass(eq=False)
class _Entry:
    """A job, with the worker's own data about it.

    Attributes:
        job: the job as others see it.
        work: the function that computes it; None once the job has ended, so that objects it refers to can be freed.
        priority: its priority among the jobs of one session.
        waiters: the sessions that wait, with the time when each last showed interest.
        blocked: the number of threads inside ``job.wait``.
        wants_turn: whether it would compute if it had the turn.
        last_turn: the number of its last turn.
        device_seconds: how long it has computed.
        begun_at: when it began to compute.
        ended_at: when it ended.
    """

    job: Job[Any]
    work: Callable[[Turn], Any] | None
    priority: int
    waiters: dict[str, float] = field(default_factory=dict)
    blocked: int = 0
    wants_turn: bool = True
    last_turn: int = 0
    device_seconds: float = 0.0
    begun_at: float = 0.0
    ended_at: float = 0.0

    @property
    def view(self) -> Snapshot[Any]:
        return self.job.look()

    @property
    def finished(self) -> bool:
        return self.view.finished


class Worker:
    """Runs jobs for one device. One job computes at a time.

    Args:
        name: the name of its threads, for logs and debuggers.
        live: the number of jobs that may have started and not finished. Each has a thread and uses memory, so this
            bounds both. Further sessions wait for a place before they get turns.
        live_per_session: the number of live jobs that one session may have, without background work.
        live_background: the number of live jobs that may be background work.
        per_session: the number of unfinished jobs that one session may have.
        queued: the number of unfinished jobs in total.
        quantum: seconds of computing that a session gets at a time while others wait.
        patience: seconds after which a session that neither polls nor blocks no longer counts as waiting.
        kept: the number of finished jobs that are kept, to be returned when they are submitted again.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        name: str = "device",
        *,
        live: int = 32,
        live_per_session: int = 4,
        live_background: int = 8,
        per_session: int = 8,
        queued: int = 200,
        quantum: float = 0.25,
        patience: float = 10.0,
        kept: int = 64,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.patience, self.kept = name, patience, kept
        self.live, self.live_per_session, self.live_background = live, live_per_session, live_background
        self.per_session, self.queued = per_session, queued
        self._clock = clock
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)  # the turn moved, or a live job was cancelled
        self._unfinished: dict[str, _Entry] = {}  # by key; queued and running
        self._recent: OrderedDict[str, _Entry] = OrderedDict()  # by key; done and failed
        self._slots: dict[tuple[str, str], _Entry] = {}  # (session, slot) -> its newest unfinished job
        # Live jobs, and cancelled jobs until they notice.
        self._threads: dict[_Entry, threading.Thread] = {}
        self._ring = Ring(quantum)  # holds every session that waits for an unfinished job
        self._holder: _Entry | None = None  # who has the turn
        self._charged = ""  # the session whose turn it is
        self._began = 0.0
        self._turns = 0
        self._urgent_turns = 0
        self._looked_for_abandoned = 0.0
        self._typical: deque[float] = deque(maxlen=20)  # device seconds of the latest jobs
        self._closed = False

    # What callers use

    def submit(
        self, key: str, work: Callable[[Turn], T], *, session: str, priority: int = 0, slot: str | None = None
    ) -> Job[T]:
        """Queue ``work(progress)``, or share a job of the same key that is unfinished or recently finished.

        Args:
            key: identifies the result; equal keys must mean equal results.
            work: called on its own thread with a :class:`Turn`; its return value is the job's result.
            session: the session that waits. A job is cancelled when no session waits any more.
            priority: the job with the highest priority in a session goes first. A priority above 0 is urgent, because
                a user is waiting for the result: the job also goes before other sessions' jobs, except in every fourth
                turn. A priority below 0 is background work, whose turn ends at its next report if any other job could
                compute.
            slot: a newer job of the same session and slot supersedes the older one, which is then cancelled
                unless another session waits for it.

        Raises ``QueueFull`` if the session or the worker already has too many jobs.
        """
        with self._lock:
            now = self._clock()
            entry = self._unfinished.get(key) or self._recall(key, now)
            if slot is not None and self._slots.get((session, slot)) is not entry:
                self.withdraw(session, slot)
            if entry is None:
                self._check_room(session)
                entry = self._unfinished[key] = _Entry(Job(key, self), work, priority)
            if not entry.finished:
                entry.priority = max(entry.priority, priority)
                self._note_waiting(entry, session)
                if slot is not None:
                    self._slots[session, slot] = entry
                self._drop_the_abandoned(now)
                self._hand_on()
            return entry.job

    def withdraw(self, session: str, slot: str) -> None:
        """The session no longer waits for its job in this slot."""
        with self._lock:
            older = self._slots.pop((session, slot), None)
            if older is not None:
                self._cancel(older, session)

    def leave(self, session: str) -> None:
        """The session has ended and no longer waits for any job."""
        with self._lock:
            for entry in list(self._unfinished.values()):
                if session in entry.waiters:
                    self._cancel(entry, session)

    def forget_finished(self) -> None:
        """Drop all finished jobs that are kept."""
        with self._lock:
            self._recent.clear()

    @property
    def unfinished(self) -> int:
        """The number of queued and running jobs."""
        return len(self._unfinished)

    def close(self, timeout: float = 5.0) -> None:
        """Cancel all jobs, accept no more, and wait up to ``timeout`` seconds for running steps to end."""
        with self._lock:
            self._closed = True
            for entry in list(self._unfinished.values()):
                self._cancel(entry, None)
            self._recent.clear()
            threads = list(self._threads.values())
        deadline = time.monotonic() + timeout
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    # The interface for jobs

    def place(self, job: Job[Any]) -> tuple[int, float]:
        """A queued job's place (1 is next), and roughly how many seconds it still waits."""
        with self._lock:
            waiting = [entry for entry in self._unfinished.values() if entry.view.state == "queued"]
            order: list[Job[Any]] = []
            while waiting:
                for session in self._ring:
                    mine = [entry for entry in waiting if session in entry.waiters]
                    if mine:
                        first = min(mine, key=_own_order)
                        order.append(first.job)
                        waiting.remove(first)
            position = order.index(job) + 1 if job in order else 0
            typical = sum(self._typical) / len(self._typical) if self._typical else self._ring.quantum
            return position, position * typical

    def touch(self, job: Job[Any], session: str) -> None:
        """Note that a session waits for the job, if it is unfinished."""
        with self._lock:
            if (entry := self._unfinished_entry(job)) is not None:
                self._note_waiting(entry, session)

    def cancel(self, job: Job[Any], session: str | None) -> None:
        """Stop the job, if it is unfinished; with a session given, only if no other session waits for it."""
        with self._lock:
            if (entry := self._unfinished_entry(job)) is not None:
                self._cancel(entry, session)

    @contextmanager
    def blocking(self, job: Job[Any]) -> Iterator[None]:
        """A context whose thread counts as waiting for the job."""
        with self._lock:
            entry = self._unfinished_entry(job)
            if entry is not None:
                entry.blocked += 1
        try:
            yield
        finally:
            if entry is not None:
                with self._lock:
                    entry.blocked -= 1

    # The queue. In the methods from here on, the caller holds the lock, or the method takes it again.

    def _unfinished_entry(self, job: Job[Any]) -> _Entry | None:
        entry = self._unfinished.get(job.key)
        return entry if entry is not None and entry.job is job else None

    def _recall(self, key: str, now: float) -> _Entry | None:
        entry = self._recent.get(key)
        if entry is None or (entry.view.state == "failed" and now - entry.ended_at > FAILURES_KEPT):
            return None
        self._recent.move_to_end(key)
        return entry

    def _check_room(self, session: str) -> None:
        if self._closed:
            raise EntvizError("entviz is shutting down; start it again to continue.")
        if sum(session in entry.waiters for entry in self._unfinished.values()) >= self.per_session:
            raise QueueFull("You already have many jobs running; wait for one to finish, or cancel one.")
        if len(self._unfinished) >= self.queued:
            raise QueueFull("Many people are using this server right now; try again in a minute.")

    def _note_waiting(self, entry: _Entry, session: str) -> None:
        entry.waiters[session] = self._clock()
        self._ring.join(session)

    def _cancel(self, entry: _Entry, session: str | None, why: str = "Stopped.") -> None:
        if session is not None:
            entry.waiters.pop(session, None)
            if entry.waiters:
                return
        # For all readers the job has ended now. Its thread, if it has one, ends at its next report.
        self._conclude(entry, replace(entry.view, state="cancelled", error=Cancelled(why)))
        self._changed.notify_all()

    def _drop_the_abandoned(self, now: float) -> None:
        if now - self._looked_for_abandoned < self.patience / 20:
            return
        self._looked_for_abandoned = now
        for entry in list(self._unfinished.values()):
            for session, seen in list(entry.waiters.items()):
                if now - seen > self.patience and not entry.blocked:
                    self._cancel(entry, session, "Stopped, because no session was waiting for it.")

    def _conclude(self, entry: _Entry, view: Snapshot[Any]) -> None:
        if entry.finished:
            return
        key = entry.job.key
        entry.ended_at = self._clock()
        self._unfinished.pop(key)
        self._slots = {place: other for place, other in self._slots.items() if other is not entry}
        if view.state != "cancelled":
            self._recent[key] = entry
            self._recent.move_to_end(key)
            while len(self._recent) > self.kept:
                self._recent.popitem(last=False)
        entry.work = None
        entry.job.publish(view)

    # The turn

    def _ready(self) -> dict[str, list[_Entry]]:
        """The jobs that would compute if they had the turn, by session."""
        room = self.live - len(self._threads)
        background = sum(entry.priority < 0 for entry in self._threads)
        background_room = min(room, self.live_background - background)
        started: dict[str, int] = {}
        for entry in self._threads:
            for session in entry.waiters if entry.priority >= 0 else ():
                started[session] = started.get(session, 0) + 1
        ready: dict[str, list[_Entry]] = {}
        for entry in self._unfinished.values():
            is_live = entry in self._threads
            may_start = (background_room if entry.priority < 0 else room) > 0
            for session in entry.waiters:
                may_start_here = may_start and started.get(session, 0) < self.live_per_session
                if entry.wants_turn and (is_live or may_start_here):
                    ready.setdefault(session, []).append(entry)
        return ready

    def _hand_on(self) -> None:
        """If no session has the turn, give it to the next session in the ring."""
        if self._holder is not None:
            return
        ready = self._ready()
        if not ready:
            return
        self._ring.keep_only({session for entry in self._unfinished.values() for session in entry.waiters})
        ready = self._who_may(ready)
        session = self._ring.next_of(ready)
        entry = min(ready[session], key=_own_order)
        self._turns += 1
        entry.last_turn = self._turns
        entry.wants_turn = False
        self._holder, self._charged, self._began = entry, session, self._clock()
        if entry in self._threads:
            self._changed.notify_all()
        else:
            self._start(entry)

    def _who_may(self, ready: dict[str, list[_Entry]]) -> dict[str, list[_Entry]]:
        """The sessions from which the ring chooses: those with an urgent job, or in every fourth turn the others."""
        urgent = {
            session: some for session, some in ready.items() if any(entry.priority > 0 for entry in some)
        }
        others = {session: some for session, some in ready.items() if session not in urgent}
        if not urgent or not others:
            return ready
        self._urgent_turns = (self._urgent_turns + 1) % URGENT_OF
        return urgent if self._urgent_turns else others

    def _release(self, entry: _Entry) -> None:
        if self._holder is entry:
            spent = self._clock() - self._began
            entry.device_seconds += spent
            self._ring.charge(self._charged, spent)
            self._holder = None

    def _take_turn(self, entry: _Entry) -> None:
        """Wait for the turn; raises ``Cancelled`` if the job is cancelled first."""
        with self._lock:
            entry.wants_turn = True
            self._hand_on()
            self._changed.wait_for(lambda: self._holder is entry or entry.finished)
            _stop_if_cancelled(entry)

    @contextmanager
    def _aside(self, entry: _Entry) -> Iterator[None]:
        with self._lock:
            _stop_if_cancelled(entry)
            self._release(entry)
            self._hand_on()
        yield
        self._take_turn(entry)

    def _report(self, entry: _Entry, done: int, total: int, partial: object) -> None:
        with self._lock:
            now = self._clock()
            self._drop_the_abandoned(now)
            _stop_if_cancelled(entry)
            latest = entry.view.partial if partial is None else partial
            under_way = now - entry.begun_at
            entry.job.publish(replace(entry.view, done=done, total=total, partial=latest, seconds=under_way))
            spent = now - self._began
            if self._holder is not entry or 0 < total <= done:
                return  # (what has reached its last step had better end than keep its memory for another round)
            if not self._ring.used_up(self._charged, spent) and not self._gives_way(entry):
                return
            if self._ready():
                self._release(entry)
                self._take_turn(entry)
            else:  # time that no other session wanted is not charged
                entry.device_seconds += spent
                self._began = now

    def _gives_way(self, entry: _Entry) -> bool:
        """Whether this is background work, and something that is not would compute."""
        return entry.priority < 0 and any(
            other.wants_turn and other.priority >= 0 for other in self._unfinished.values()
        )

    # The thread of a live job

    def _start(self, entry: _Entry) -> None:
        thread = threading.Thread(
            target=self._run, args=(entry, entry.work), name=f"entviz-{self.name}", daemon=True
        )
        entry.begun_at = self._clock()
        entry.job.publish(replace(entry.view, state="running"))
        self._threads[entry] = thread
        try:
            thread.start()
        except RuntimeError as error:  # the system cannot start another thread
            del self._threads[entry]
            self._holder = None
            self._conclude(entry, replace(entry.view, state="failed", error=_told(entry, error)))
            self._hand_on()

    def _run(self, entry: _Entry, work: Callable[[Turn], Any]) -> None:
        try:
            result = work(_TurnOf(entry, self._report, self._aside))
            total = entry.view.total
            ending = Snapshot("done", total, total, result, result)
        except Cancelled as error:
            ending = replace(entry.view, state="cancelled", error=_told(entry, error))
        except BaseException as error:  # noqa: BLE001 - whatever happens, others must get the device again
            ending = replace(entry.view, state="failed", error=_told(entry, error))
        with self._lock:
            self._release(entry)
            self._conclude(entry, ending)
            del self._threads[entry]
            self._typical.append(entry.device_seconds)
            self._hand_on()


@dataclass(frozen=True)
class _TurnOf(Turn):
    """The turn of one job, which calls its worker."""

    entry: _Entry
    report: Callable[[_Entry, int, int, object], None]
    step_aside: Callable[[_Entry], AbstractContextManager[None]]

    def __call__(self, done: int, total: int, partial: object = None, /) -> None:
        self.report(self.entry, done, total, partial)

    def aside(self) -> AbstractContextManager[None]:
        return self.step_aside(self.entry)


def _own_order(entry: _Entry) -> tuple[int, int]:
    """The order of one session's jobs: by priority, then the job whose last turn is longest ago."""
    return -entry.priority, entry.last_turn


def _stop_if_cancelled(entry: _Entry) -> None:
    if entry.finished:
        raise Cancelled("Stopped.")


def _told(entry: _Entry, error: BaseException) -> EntvizError:
    return in_a_sentence(f"job {entry.job.key}", error)
