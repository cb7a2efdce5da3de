"""One request where it is computed: its turn and the store are the server's, which is asked for both.

    ended = computed(request, ask, models, states)        # ask(question) returns the server's answer, or raises it

How a question reaches the server is for the caller to say, see ``child.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from entviz.failure import in_a_sentence
from entviz.runtime.apart.messages import CallStore, Ended, Report, StepAside, StepBack
from entviz.runtime.queue import Turn
from entviz.runtime.runner import Runner

if TYPE_CHECKING:
    from entviz.runtime.kept_states import KeptStates
    from entviz.runtime.model_cache import ModelCache
    from entviz.runtime.requests import Request
    from entviz.store import Run

Ask = Callable[[object], Any]

# A report within this many seconds of the one before is not sent, unless it has a partial result: while the server
# draws a page, each answer can take it ten milliseconds, and a layer takes less.
REPORT_SECONDS: Final = 0.03


def computed(request: Request[Any], ask: Ask, models: ModelCache, states: KeptStates) -> Ended:
    """The end of a request, whatever happens, with the models that are then in memory."""
    store = ServersStore(ask)
    try:
        result = request.compute(Runner(store, models, states), ServersTurn(ask))
    except BaseException as error:  # noqa: BLE001 - the server waits for an end
        return Ended(error=in_a_sentence(type(request).__name__, error), held=models.held())
    is_kept = result is not None and result is store.last
    return Ended(None if is_kept else result, is_kept, held=models.held())


class ServersTurn(Turn):
    """The turn of a request, which the server's queue gives and takes."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._last = 0.0

    def __call__(self, done: int, total: int, partial: object = None, /) -> None:
        if partial is None and time.monotonic() - self._last < REPORT_SECONDS:
            return
        self._ask(Report(done, total, partial))
        self._last = time.monotonic()

    @contextmanager
    def aside(self) -> Iterator[None]:
        self._ask(StepAside())
        yield
        self._ask(StepBack())


class ServersStore:
    """The server's store of results, as :class:`entviz.store.keeping.Keeping`.

    ``last`` is the result that was last read or put.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.last: Any = None

    def get(self, key: str, /) -> Any:
        self.last = self._ask(CallStore("get", (key,)))
        return self.last

    def answer(self, request: str, /) -> Any:
        self.last = self._ask(CallStore("answer", (request,)))
        return self.last

    def put(self, key: str, run: Run, result: Any, /, *, text: str | None = None) -> None:
        self.last = result
        self._ask(CallStore("put", (key, run, result), {"text": text}))

    def link(self, request: str, key: str, /) -> None:
        self._ask(CallStore("link", (request, key)))

    def remove(self, /, *keys: str) -> None:
        self._ask(CallStore("remove", keys))
