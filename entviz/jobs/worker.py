"""The worker of one device: which jobs are live, and which of them computes.

Each live job has a thread, and only the job that holds the *turn* computes. The turn moves on where work reports
progress: when a session's quantum is used up and others want to compute, the report pauses until the ring comes
round again. Long work is thus shared out fairly without aborting any of it.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from entviz.errors import Cancelled, EntvizError
from entviz.failure import in_a_sentence
from entviz.jobs.job import Job, Snapshot
from entviz.jobs.ring import Ring

T = TypeVar("T")

URGENT_OF = 4  # turns; one of so many is for what is not urgent, however much is
FAILURES_KEPT = 10.0  # seconds; a page that polls must not run what just failed again and again


class QueueFull(EntvizError):
    """More work is waiting than the worker takes on."""


class Turn:
    """What a job's work reports its progress to, and its hold on the device."""

    def __init__(self, worker: Worker, job: Job[Any]) -> None:
        self._worker = worker
        self._job = job

    def __call__(self, done: int, total: int, partial: object = None, /) -> None:
        """Report; pauses while others have the turn. Raises ``Cancelled`` where the work is unwanted."""
        self._worker._report(self._job, done, total, partial)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let others compute during what does not need the device, such as a download."""
        self._worker._step_aside(self._job)
        yield
        self._worker._take_turn(self._job)


class Worker:
    """Runs jobs for one device, one computing at a time.

    Args:
        name: of its threads, for logs and debuggers.
        live: jobs that may have started and not finished; each is a thread and holds memory, so this bounds both.
            Sessions beyond it wait for a place before they get turns.
        live_per_session: how many of them one session may have.
        live_background: how many of them may be background work.
        per_session: unfinished jobs that one session may have.
        queued: unfinished jobs in all.
        quantum: seconds of computing that a session gets at a time while others wait.
        patience: seconds after which a session that neither polls nor blocks no longer counts as waiting.
        kept: finished jobs that are given back when asked for again.
        clock: seconds, monotonic.
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
        self._unfinished: dict[str, Job[Any]] = {}  # by key; queued and running
        self._recent: OrderedDict[str, Job[Any]] = OrderedDict()  # by key; done and failed
        self._slots: dict[
            tuple[str, str], Job[Any]
        ] = {}  # (session, slot) -> the newest unfinished job there
        self._threads: dict[
            Job[Any], threading.Thread
        ] = {}  # live jobs, and cancelled ones until they notice
        self._ring = Ring(quantum)  # holds every session that waits for an unfinished job
        self._holder: Job[Any] | None = None  # who has the turn
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
        """Queue ``work(progress)``, or share the job of the same key that is unfinished or recently finished.

        Args:
            key: names the result; equal keys must mean equal results.
            work: called on a thread of its own with a :class:`Turn`; what it returns is the job's result.
            session: who waits. A job is cancelled when nobody does any more.
            priority: among the jobs of one session the highest goes first. Above 0 is urgent, as someone looks at
                where its result will be: it goes before other sessions' work too, all but every fourth turn. Below 0
                is background work.
            slot: a newer job of the same session and slot supersedes the older one, which is then cancelled
                unless another session waits for it.

        Raises ``QueueFull`` where the session or the worker has too much to do already.
        """
        with self._lock:
            now = self._clock()
            job: Job[T] | None = self._unfinished.get(key) or self._recall(key, now)
            if slot is not None and self._slots.get((session, slot)) is not job:
                self.withdraw(session, slot)
            if job is None:
                self._check_room(session)
                job = self._unfinished[key] = Job(key, self, work, priority)
            if not job.finished:
                job._priority = max(job._priority, priority)
                self._touch(job, session)
                if slot is not None:
                    self._slots[session, slot] = job
                self._drop_the_abandoned(now)
                self._hand_on()
            return job

    def withdraw(self, session: str, slot: str) -> None:
        """The session no longer waits for what it has in this slot."""
        with self._lock:
            older = self._slots.pop((session, slot), None)
            if older is not None:
                self._cancel(older, session)

    def leave(self, session: str) -> None:
        """The session is gone: it waits for nothing any more."""
        with self._lock:
            for job in list(self._unfinished.values()):
                if session in job._waiters:
                    self._cancel(job, session)

    def forget_finished(self) -> None:
        """Keep no finished jobs to be given back."""
        with self._lock:
            self._recent.clear()

    @property
    def unfinished(self) -> int:
        """How many jobs are queued or running."""
        return len(self._unfinished)

    def close(self, timeout: float = 5.0) -> None:
        """Cancel everything, take no more, and wait up to ``timeout`` seconds for running steps to end."""
        with self._lock:
            self._closed = True
            for job in list(self._unfinished.values()):
                self._cancel(job, None)
            self._recent.clear()
            threads = list(self._threads.values())
        deadline = time.monotonic() + timeout
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    # The queue. Here and below, the lock is held by the caller or taken again.

    def _recall(self, key: str, now: float) -> Job[Any] | None:
        job = self._recent.get(key)
        if job is None or (job.state == "failed" and now - job._ended_at > FAILURES_KEPT):
            return None
        self._recent.move_to_end(key)
        return job

    def _check_room(self, session: str) -> None:
        if self._closed:
            raise EntvizError("entviz is shutting down; start it again to go on.")
        if sum(session in job._waiters for job in self._unfinished.values()) >= self.per_session:
            raise QueueFull("You have many things running already; wait for one to finish, or cancel it.")
        if len(self._unfinished) >= self.queued:
            raise QueueFull("Many people are using this server just now; try again in a minute.")

    def _touch(self, job: Job[Any], session: str) -> None:
        with self._lock:
            job._waiters[session] = self._clock()
            self._ring.join(session)

    def _cancel(self, job: Job[Any], session: str | None, why: str = "Stopped.") -> None:
        with self._lock:
            if session is not None:
                job._waiters.pop(session, None)
                if job._waiters:
                    return
            # To everyone who looks it has ended now; its thread, if it has one, ends at its next report.
            self._conclude(job, replace(job._view, state="cancelled", error=Cancelled(why)))
            self._changed.notify_all()

    def _drop_the_abandoned(self, now: float) -> None:
        if now - self._looked_for_abandoned < self.patience / 20:
            return
        self._looked_for_abandoned = now
        for job in list(self._unfinished.values()):
            for session, seen in list(job._waiters.items()):
                if now - seen > self.patience and not job._blocked:
                    self._cancel(job, session, "Stopped, because nobody was waiting for it.")

    def _conclude(self, job: Job[T], view: Snapshot[T]) -> None:
        if job.finished:
            return
        job._ended_at = self._clock()
        self._unfinished.pop(job.key)
        self._slots = {place: other for place, other in self._slots.items() if other is not job}
        if view.state != "cancelled":
            self._recent[job.key] = job
            self._recent.move_to_end(job.key)
            while len(self._recent) > self.kept:
                self._recent.popitem(last=False)
        job._finish(view)

    def _place(self, job: Job[Any]) -> tuple[int, float]:
        """Where a queued job stands (1 is next), and roughly how many seconds that means."""
        with self._lock:
            waiting = [j for j in self._unfinished.values() if j.state == "queued"]
            order: list[Job[Any]] = []
            while waiting:
                for session in self._ring:
                    mine = [j for j in waiting if session in j._waiters]
                    if mine:
                        order.append(min(mine, key=_own_order))
                        waiting.remove(order[-1])
            position = order.index(job) + 1 if job in order else 0
            typical = sum(self._typical) / len(self._typical) if self._typical else self._ring.quantum
            return position, position * typical

    # The turn

    def _ready(self) -> dict[str, list[Job[Any]]]:
        """For each session the jobs that would compute if they had the turn."""
        room = self.live - len(self._threads)
        background_room = min(room, self.live_background - sum(job._priority < 0 for job in self._threads))
        started: dict[str, int] = {}
        for job in self._threads:
            for session in job._waiters:
                started[session] = started.get(session, 0) + 1
        ready: dict[str, list[Job[Any]]] = {}
        for job in self._unfinished.values():
            is_live = job in self._threads
            may_start = (background_room if job._priority < 0 else room) > 0
            for session in job._waiters:
                may_start_here = may_start and started.get(session, 0) < self.live_per_session
                if job._wants_turn and (is_live or may_start_here):
                    ready.setdefault(session, []).append(job)
        return ready

    def _hand_on(self) -> None:
        """Where nobody has the turn, give it to the session next in the ring."""
        if self._holder is not None:
            return
        ready = self._ready()
        if not ready:
            return
        self._ring.keep_only({session for job in self._unfinished.values() for session in job._waiters})
        ready = self._who_may(ready)
        session = self._ring.choose(ready)
        job = min(ready[session], key=_own_order)
        self._turns += 1
        job._last_turn = self._turns
        job._wants_turn = False
        self._holder, self._charged, self._began = job, session, self._clock()
        if job in self._threads:
            self._changed.notify_all()
        else:
            self._start(job)

    def _who_may(self, ready: dict[str, list[Job[Any]]]) -> dict[str, list[Job[Any]]]:
        """Those among which the ring chooses: sessions with something urgent, or every now and then the others."""
        urgent = {session: jobs for session, jobs in ready.items() if any(job._priority > 0 for job in jobs)}
        others = {session: jobs for session, jobs in ready.items() if session not in urgent}
        if not urgent or not others:
            return ready
        self._urgent_turns = (self._urgent_turns + 1) % URGENT_OF
        return urgent if self._urgent_turns else others

    def _release(self, job: Job[Any]) -> None:
        if self._holder is job:
            spent = self._clock() - self._began
            job._device_seconds += spent
            self._ring.charge(self._charged, spent)
            self._holder = None

    def _take_turn(self, job: Job[Any]) -> None:
        """Wait for the turn; raises ``Cancelled`` where the job is cancelled first."""
        with self._lock:
            job._wants_turn = True
            self._hand_on()
            self._changed.wait_for(lambda: self._holder is job or job.finished)
            _stop_if_cancelled(job)

    def _step_aside(self, job: Job[Any]) -> None:
        with self._lock:
            _stop_if_cancelled(job)
            self._release(job)
            self._hand_on()

    def _report(self, job: Job[Any], done: int, total: int, partial: object) -> None:
        with self._lock:
            now = self._clock()
            self._drop_the_abandoned(now)
            _stop_if_cancelled(job)
            latest = job._view.partial if partial is None else partial
            job._view = replace(job._view, done=done, total=total, partial=latest)
            spent = now - self._began
            if self._holder is not job or not self._ring.used_up(self._charged, spent) or 0 < total <= done:
                return  # (what has reached its last step had better end than keep its memory for another round)
            if self._ready():
                self._release(job)
                self._take_turn(job)
            else:  # time that nobody else wanted is not charged
                job._device_seconds += spent
                self._began = now

    # A live job's thread

    def _start(self, job: Job[Any]) -> None:
        thread = threading.Thread(
            target=self._run, args=(job, job._work), name=f"entviz-{self.name}", daemon=True
        )
        job._view = replace(job._view, state="running")
        self._threads[job] = thread
        try:
            thread.start()
        except RuntimeError as error:  # the system gives no more threads
            del self._threads[job]
            self._holder = None
            self._conclude(
                job, replace(job._view, state="failed", error=in_a_sentence(f"job {job.key}", error))
            )
            self._hand_on()

    def _run(self, job: Job[Any], work: Callable[[Turn], Any]) -> None:
        try:
            result = work(Turn(self, job))
            ending = Snapshot("done", job.total, job.total, result, result)
        except Cancelled as error:
            ending = replace(job._view, state="cancelled", error=in_a_sentence(f"job {job.key}", error))
        except BaseException as error:  # noqa: BLE001 - whatever happens, others must get the device again
            ending = replace(job._view, state="failed", error=in_a_sentence(f"job {job.key}", error))
        with self._lock:
            self._release(job)
            self._conclude(job, ending)
            del self._threads[job]
            self._typical.append(job._device_seconds)
            self._hand_on()


def _own_order(job: Job[Any]) -> tuple[int, int]:
    """Among the jobs of one session: by priority, then the one that had the turn longest ago."""
    return -job._priority, job._last_turn


def _stop_if_cancelled(job: Job[Any]) -> None:
    if job.finished:
        raise Cancelled("Stopped.")
