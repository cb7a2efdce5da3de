"""The program of the process that computes: it reads requests from standard input until that ends.

Each request has a thread. It computes while the server lets it, since the server's queue decides whose turn it is: a
report of progress waits for the server's answer. Results are kept in the server's store, which is asked for over the
same pipe. This process ends at once when the server ends, however that ends.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from entviz import logs
from entviz.failure import in_a_sentence
from entviz.runtime.apart.asking import computed
from entviz.runtime.apart.messages import CONTROL, Answer, Begin, Ended
from entviz.runtime.apart.pipe import Pipe, unpacked
from entviz.runtime.idle_timer import give_memory_back
from entviz.runtime.kept_states import KeptStates
from entviz.runtime.model_cache import ModelCache

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
    _be_first_to_end()
    faulthandler.enable()  # what native code crashes, and where, is said on the terminal
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
            ended = computed(begin.request, talk.ask, self._models, self._states)
        except Exception as error:  # noqa: BLE001 - a request that this process does not know
            ended = Ended(error=in_a_sentence("a request", error))
        del self._talks[talk.number]  # before the end is said, since the server says nothing more after it
        try:
            self._pipe.send(talk.number, ended)
        except OSError:  # the server is gone
            return
        except Exception as error:  # noqa: BLE001 - a result that is not plain data
            self._pipe.send(talk.number, Ended(error=in_a_sentence("a result", error), held=ended.held))


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
