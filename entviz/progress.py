"""How long-running work reports its progress, and how it is stopped.

Long-running functions take ``progress`` and call it often: ``progress(done, total, partial)``. A caller that wants
the work to stop raises :class:`entviz.errors.Cancelled` from that call. No clean-up is needed, because no function
changes the model.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from filelock import FileLock


class Progress(Protocol):
    """Called with the finished steps, all steps, and sometimes a partial result; it can raise ``Cancelled``."""

    def __call__(self, done: int, total: int, partial: object = None, /) -> None: ...


STEPS = 1000  # steps in total, for work that consists of parts
LEAST_SHARE, LEAST_SECONDS = 0.03, 2.0  # before these, an estimate of the remaining time would be unreliable


def silent(done: int, total: int, partial: object = None, /) -> None:
    """Report nothing; the default."""


def part(progress: Progress, start: float, end: float) -> Progress:
    """The progress function for a part of a larger piece of work, from share ``start`` to share ``end`` of the whole.

    Partial results of the part are not reported, because they are not results of the whole.
    """

    def report(done: int, total: int, partial: object = None, /) -> None:
        share = start + (end - start) * min(1.0, done / max(1, total))
        progress(int(STEPS * share), STEPS)

    return report


def seconds_left(share: float, seconds: float) -> float | None:
    """How long work will still take of which a share was done in so many seconds; None where that tells too little."""
    if share < LEAST_SHARE or seconds < LEAST_SECONDS:
        return None
    return seconds * (1 - min(share, 1.0)) / share


@contextmanager
def waiting_for(
    lock: "threading.Lock | threading.RLock", progress: Progress, every: float = 0.2
) -> Iterator[None]:
    """Hold a lock within the block. A thread that waits for it can be stopped.

    Args:
        lock: the lock.
        progress: called while another thread holds it; if it raises ``Cancelled``, the lock is not taken.
        every: seconds between two calls.
    """
    while not lock.acquire(timeout=every):
        progress(0, 0)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def waiting_for_process(
    lock: "FileLock", progress: Progress, announce: Callable[[], None], every: float = 0.2
) -> Iterator[None]:
    """Hold a lock between processes within the block. A thread that waits for it can be stopped.

    Args:
        lock: the lock.
        progress: called while another process holds it; if it raises ``Cancelled``, the lock is not taken.
        announce: called once, if another process holds it.
        every: seconds between two tries.

    Raises:
        OSError: if the file of the lock cannot be created.
    """
    from filelock import Timeout

    waits = False
    while True:
        try:
            lock.acquire(timeout=every if waits else 0)
            break
        except Timeout:
            if not waits:
                announce()
            waits = True
            progress(0, 0)
    try:
        yield
    finally:
        lock.release()
