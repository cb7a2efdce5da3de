"""The program of the process that computes: it reads requests from standard input until that ends.

Each request has a thread. It computes while the server lets it, since the server's queue decides whose turn it is: a
report of progress waits for the server's answer. Results are kept in the server's store, which is asked for over the
same pipe. This process ends at once when the server ends, however that ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

from entviz import logs
from entviz.failure import in_a_sentence
from entviz.runtime.apart.messages import (
    CONTROL,
    Answer,
    Begin,
    CallStore,
    Ended,
    Report,
    StepAside,
    StepBack,
)
from entviz.runtime.apart.pipe import Pipe, unpacked
from entviz.runtime.idle_timer import give_memory_back
from entviz.runtime.kept_states import KeptStates
from entviz.runtime.model_cache import ModelCache
from entviz.runtime.queue import Turn
from entviz.runtime.runner import Runner
from entviz.store import Run

# A report within this many seconds of the one before is not sent, unless it has a partial result: while the server
# draws a page, each answer can take it ten milliseconds, and a layer takes less.
REPORT_SECONDS: Final = 0.03
_FIRST_TO_END = (
    500  # of 1000: what the kernel adds to this process's share of the memory, when it has to end one
)


def main(models_kept: int, states_bytes: int | None) -> None:
    """Compute what the server asks for until it closes the pipe, which ends this process.

    Args:
        models_kept: how many models stay in memory.
        states_bytes: the memory for hidden states; None to choose it for the machine.
    """
    pipe = _own_streams()
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C in a terminal is for the server, which then ends this
    _be_first_to_end()
    logs.start(tracebacks=True)
    _Child(pipe, ModelCache(models_kept), KeptStates(states_bytes)).serve()
    os._exit(0)  # at once: threads that still compute have nobody to compute for


class _Child:
    """Everything that the threads of requests share."""

    def __init__(self, pipe: Pipe, models: ModelCache, states: KeptStates) -> None:
        self._pipe = pipe
        self._models = models
        self._states = states
        self._talks: dict[int, _Talk] = {}

    def serve(self) -> None:
        """Pass on each message to the thread that it is for, until the server is gone."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                number, content = self._pipe.receive()
                if number == CONTROL:
                    self._states.forget()
                    give_memory_back()
                elif number in self._talks:
                    self._talks[number].answers.put(content)
                else:
                    talk = self._talks[number] = _Talk(number, self._pipe)
                    threading.Thread(target=self._compute, args=(talk, content), daemon=True).start()

    def _compute(self, talk: _Talk, content: bytes) -> None:
        try:
            begin: Begin = unpacked(content)
            store = _ServersStore(talk)
            result = begin.request.compute(Runner(store, self._models, self._states), _PipeTurn(talk))
            is_kept = result is not None and result is store.last
            ended = Ended(None if is_kept else result, is_kept, held=self._models.held())
        except BaseException as error:  # noqa: BLE001 - whatever happens, the server waits for an end
            ended = self._failed(talk, error)
        del self._talks[talk.number]  # before the end is said, since the server says nothing more after it
        try:
            self._pipe.send(talk.number, ended)
        except OSError:  # the server is gone
            return
        except Exception as error:  # noqa: BLE001 - a result that is not plain data
            self._pipe.send(talk.number, self._failed(talk, error))

    def _failed(self, talk: _Talk, error: BaseException) -> Ended:
        return Ended(error=in_a_sentence(f"request {talk.number}", error), held=self._models.held())


class _Talk:
    """The conversation with the server about one request."""

    def __init__(self, number: int, pipe: Pipe) -> None:
        self.number = number
        self.answers: SimpleQueue[bytes] = SimpleQueue()
        self._pipe = pipe
        self._one_at_a_time = threading.Lock()

    def ask(self, question: object) -> Any:
        """The server's answer, once it comes. Raises the error that is the answer."""
        with self._one_at_a_time:
            self._pipe.send(self.number, question)
            answer: Answer = unpacked(self.answers.get())
        if answer.error is not None:
            raise answer.error
        return answer.value


class _PipeTurn(Turn):
    """The turn of a request, which the server's queue gives and takes."""

    def __init__(self, talk: _Talk) -> None:
        self._talk = talk
        self._last = 0.0

    def __call__(self, done: int, total: int, partial: object = None, /) -> None:
        if partial is None and time.monotonic() - self._last < REPORT_SECONDS:
            return
        self._talk.ask(Report(done, total, partial))
        self._last = time.monotonic()

    @contextmanager
    def aside(self) -> Iterator[None]:
        self._talk.ask(StepAside())
        yield
        self._talk.ask(StepBack())


class _ServersStore:
    """The server's store of results: :class:`entviz.store.keeping.Keeping` over the pipe.

    ``last`` is the result that was last read or put.
    """

    def __init__(self, talk: _Talk) -> None:
        self._talk = talk
        self.last: Any = None

    def get(self, key: str, /) -> Any:
        self.last = self._talk.ask(CallStore("get", (key,)))
        return self.last

    def put(self, key: str, run: Run, result: Any, /, *, text: str | None = None) -> None:
        self.last = result
        self._talk.ask(CallStore("put", (key, run, result), {"text": text}))

    def link(self, request: str, key: str, /) -> None:
        self._talk.ask(CallStore("link", (request, key)))

    def remove(self, /, *keys: str) -> None:
        self._talk.ask(CallStore("remove", keys))


def _own_streams() -> Pipe:
    """The pipe, on copies of the standard streams. A library that prints then prints on standard error."""
    source, target = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return Pipe(source, target)


def _be_first_to_end() -> None:
    """Ask the kernel to end this process, and not the server, if the machine runs out of memory (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_FIRST_TO_END), encoding="ascii")
