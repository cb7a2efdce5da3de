"""The engine that computes in a child process, and starts another one when it has died."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

from entviz.errors import Cancelled, ProcessEndedError
from entviz.runtime.apart.conducting import ChildDied, Conductor
from entviz.runtime.apart.process import Child, Settings
from entviz.runtime.engine import Engine
from entviz.runtime.identity import model_identity
from entviz.runtime.requests import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entviz.runtime.queue import Turn
    from entviz.store.keeping import Keeping

T = TypeVar("T")
log = logging.getLogger("entviz")

TRIES: Final = 2  # of a request during which the child died


class Apart(Engine):
    """Computes in a child process. It is started for the first request, and again for the next one after it has died.

    A request during which the child died is computed once more, with what was stored of it in between. If the child
    dies again, it fails. Requests that only waited for their turn meanwhile start again as often as it takes.

    Args:
        store: the store of results, which stays in this process.
        settings: what the child keeps in memory.
    """

    def __init__(self, store: Keeping, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._held: Mapping[str, str | None] = {}
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The number of the child process; None if there is none now."""
        child = self._child
        return None if child is None or child.dead else child.pid

    def compute(self, request: Request[T], turn: Turn) -> T:
        deaths = 0
        while True:
            child = self._running(request)
            try:
                with child.talk() as talk:
                    result, self._held = Conductor(turn, self._store).conduct(talk, request)
                found: T = result
                return found
            except ChildDied as death:
                deaths += death.computed
                if self._closed:
                    raise Cancelled("Stopped.") from None
                log.warning("%s", death)
                if deaths == TRIES:
                    raise ProcessEndedError(str(death)) from None
            with turn.aside():  # it may have died while others had the turn, which is needed to go on
                pass

    def holds(self, model: str) -> bool:
        return self.pid is not None and model in self._held and self._held[model] == model_identity(model)

    def free_memory(self) -> None:
        if self._child is not None:
            self._child.free_memory()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._child is not None:
                self._child.close()

    def _running(self, request: Request[Any]) -> Child:
        """The child, started if there is none, which then begins with ``request``."""
        with self._lock:
            if self._closed:
                raise Cancelled("Stopped.")
            if self._child is None or self._child.dead:
                self._held = {}
                self._child = Child(self._settings)
                # While it starts, this process imports what it will be told: one after the other takes twice as long.
                threading.Thread(target=request.expect, daemon=True).start()
            return self._child
