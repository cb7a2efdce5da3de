"""Release memory after a period without requests."""

from __future__ import annotations

import ctypes
import gc
import threading
from collections.abc import Callable


class IdleTimer:
    """Calls ``action`` on its own thread when ``seconds`` have passed since the last :meth:`restart`."""

    def __init__(self, seconds: float, action: Callable[[], None]) -> None:
        self.seconds = seconds
        self._action = action
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def restart(self) -> None:
        """Start the waiting time again."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(self.seconds, self._action)
            self._timer.daemon = True
            self._timer.start()

    def stop(self) -> None:
        """Stop the timer until it is restarted."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None


def give_memory_back() -> None:
    """Return the process's free memory to the system, if its allocator can (glibc)."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # another allocator, or Windows, which needs no call
        return
