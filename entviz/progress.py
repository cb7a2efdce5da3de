"""How long work reports where it is, and how it is stopped.

Long-running functions take ``progress`` and call it often: ``progress(done, total, partial)``. A caller that wants
the work to stop raises :class:`entviz.errors.Cancelled` from that call; nothing needs cleaning up, because no
function changes the model.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from filelock import FileLock


class Progress(Protocol):
    """Called with the steps done, the steps in all, and (sometimes) a partial result; may raise ``Cancelled``."""

    def __call__(self, done: int, total: int, partial: object = None, /) -> None: ...


STEPS = 1000  # in all, of work that is made of parts


def silent(done: int, total: int, partial: object = None, /) -> None:
    """Report nothing; the default if no one is watching."""


def part(progress: Progress, start: float, end: float) -> Progress:
    """Progress of a piece of work as that of the whole, of which it is the part from ``start`` to ``end`` (shares).

    Its own partial results are not those of the whole, and are left out.
    """

    def report(done: int, total: int, partial: object = None, /) -> None:
        share = start + (end - start) * min(1.0, done / max(1, total))
        progress(int(STEPS * share), STEPS)

    return report


@contextmanager
def waiting_for(
    lock: "threading.Lock | threading.RLock", progress: Progress, every: float = 0.2
) -> Iterator[None]:
    """Hold a lock within the block. Anyone who waits for it can be stopped.

    Args:
        lock: what to hold.
        progress: called while somebody else holds it; may raise ``Cancelled``, and then the lock is not taken.
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
    """Hold a lock between processes within the block. Anyone who waits for it can be stopped.

    Args:
        lock: what to hold.
        progress: called while another process holds it; may raise ``Cancelled``, and then the lock is not taken.
        announce: called once, if another process holds it.
        every: seconds between two tries.

    Raises:
        OSError: if the file of the lock cannot be made.
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
