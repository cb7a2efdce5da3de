"""The child process as the server sees it: started, talked to, and known to have died."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Final, cast

from entviz.errors import ProcessEndedError
from entviz.runtime.apart.conducting import ChildDied, Talk
from entviz.runtime.apart.messages import CONTROL, FreeMemory
from entviz.runtime.apart.pipe import Pipe, unpacked

# The same modules as here, from the same places; -P, so that no file of the working directory stands before them. An
# interrupt in a terminal is for the server, which then ends its child.
_PROGRAM: Final = (
    "import json, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); sys.path[:] = json.loads(sys.argv[1]); "
    "from entviz.runtime.apart.child import main; main(int(sys.argv[2]), int(sys.argv[3]) or None)"
)
_END_SECONDS: Final = 5.0  # for a process to end by itself


@dataclass(frozen=True)
class Settings:
    """What the child keeps in its memory.

    Attributes:
        models_kept: how many models.
        states_bytes: the most bytes of hidden states; None to choose it for the machine.
    """

    models_kept: int = 2
    states_bytes: int | None = None


class Child:
    """A running child process. Threads of the server talk with it, each about its own request.

    Raises:
        ProcessEndedError: if the system cannot start it.
    """

    def __init__(self, settings: Settings) -> None:
        arguments = [
            json.dumps(list(map(str, sys.path))),
            str(settings.models_kept),
            str(settings.states_bytes or 0),
        ]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        except OSError as error:
            raise ProcessEndedError(
                f"The process that computes cannot be started ({error.strerror or error}). Free some memory, or start "
                "the dashboard with ENTVIZ_PROCESS_APART=0 to compute in its own process."
            ) from error
        # Both streams are there, since both are pipes.
        self._pipe = Pipe(cast(Any, self._process.stdout), cast(Any, self._process.stdin))
        self._lock = threading.Lock()
        self._numbers = itertools.count(CONTROL + 1)
        self._inboxes: dict[int, SimpleQueue[bytes | None]] = {}
        self.dead = False
        threading.Thread(target=self._receive, name="entviz-child", daemon=True).start()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @contextmanager
    def talk(self) -> Iterator[Talk]:
        """A conversation about one request. Raises ``ChildDied`` if the child has ended."""
        inbox: SimpleQueue[bytes | None] = SimpleQueue()
        number = next(self._numbers)
        with self._lock:
            if self.dead:
                raise self.death(computed=False)
            self._inboxes[number] = inbox
        try:
            yield _Talk(self, number, self._pipe, inbox)
        finally:
            with self._lock:
                self._inboxes.pop(number, None)

    def free_memory(self) -> None:
        """Ask it to free the memory that nothing needs now."""
        with contextlib.suppress(OSError, ValueError):
            self._pipe.send(CONTROL, FreeMemory())

    def close(self) -> None:
        """End it: politely, since that is quick, and otherwise not."""
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def death(self, *, computed: bool) -> ChildDied:
        """Why it has ended, as a sentence."""
        return ChildDied(_sentence(self._process.wait()), computed=computed)

    def _receive(self) -> None:
        """Put each message into the inbox of its request, and at the end say to all that it is the end."""
        with contextlib.suppress(EOFError, OSError, ValueError):
            while True:
                number, content = self._pipe.receive()
                with self._lock:
                    inbox = self._inboxes.get(number)
                if inbox is not None:
                    inbox.put(content)
        self._process.wait()
        with self._lock:
            self.dead = True
            inboxes = list(self._inboxes.values())
        for inbox in inboxes:
            inbox.put(None)
        self._pipe.close()


class _Talk(Talk):
    """A conversation about one request over the pipe."""

    def __init__(self, child: Child, number: int, pipe: Pipe, inbox: SimpleQueue[bytes | None]) -> None:
        self._child = child
        self._number = number
        self._pipe = pipe
        self._inbox = inbox

    def say(self, message: object) -> None:
        if self._child.dead:
            raise self._child.death(computed=False)
        with contextlib.suppress(OSError, ValueError):  # it is just ending, as is said by what is heard next
            self._pipe.send(self._number, message)

    def hear(self) -> Any:
        content = self._inbox.get()
        if content is None:
            raise self._child.death(computed=True)
        return unpacked(content)


def _sentence(code: int) -> str:
    """What happened to a process that ended with this exit code, and what to do."""
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = ""
    if name == "SIGKILL":
        return (
            f"The process that computes was ended by the system (signal {-code}), most likely for want of memory. "
            "Choose fewer or shorter windows, or a smaller model."
        )
    how = f"signal {-code}, {name}" if name else f"exit code {code}"
    return (
        f"The process that computes ended while it computed this ({how}), which its own code cannot prevent. Choose "
        "another model or other windows. The log or the terminal may say more; please report it with them."
    )
