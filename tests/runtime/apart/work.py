"""Work that shows what happens to its process: plain data, as all that is sent to the child. It says it in files."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from entviz.runtime.requests import Request
from entviz.studies import ModelAlone, Study


@dataclass(frozen=True)
class Steps(Request[int]):
    """Take so many steps, and note the beginning and end of each. The result is the number of the process.

    Attributes:
        file: each step appends a line: the process, the name, and the times of beginning and end, in seconds.
        name: what the lines call it.
        count: the number of steps.
        seconds: how long a step takes.
        aside: whether all steps are taken while others may compute.
    """

    file: Path
    name: str = "steps"
    count: int = 2000
    seconds: float = 0.01
    aside: bool = False

    def compute(self, runner, turn):
        if self.aside:
            with turn.aside():
                self._take(turn)
        else:
            self._take(turn)
        return os.getpid()

    def _take(self, turn):
        for number in range(self.count):
            begun = time.monotonic()
            time.sleep(self.seconds)
            with self.file.open("a") as file:
                file.write(f"{os.getpid()} {self.name} {begun} {time.monotonic()}\n")
            turn(number + 1, self.count, number + 1)


@dataclass(frozen=True)
class Aborts(Request[int]):
    """Abort the process in the first ``times`` tries, which ``file`` counts. The result is the number of the try."""

    file: Path
    times: int

    def compute(self, runner, turn):
        tries = tried(self.file)
        turn(0, 1)
        if tries <= self.times:
            os.abort()
        return tries


@dataclass(frozen=True)
class AbortingStudy(Study[int]):
    """Abort the process, as native code does in the middle of a computation."""

    sample: ModelAlone
    file: Path

    kind = "aborts"
    title = "Abort"

    def compute(self, material, progress):
        tried(self.file)
        progress(0, 1)
        os.abort()


@dataclass(frozen=True)
class Returns(Request[object]):
    """Return something that is not plain data."""

    def compute(self, runner, turn):
        return lambda: None


def ask(runtime, request, session="a", slot=None):
    """A job for a request, from the runtime's queue and its engine."""
    return runtime.worker.submit(
        f"test {uuid4()}", lambda turn: runtime.engine.compute(request, turn), session=session, slot=slot
    )


def tried(file):
    """Note one more try, and say which it is."""
    with file.open("a") as opened:
        opened.write("try\n")
    return file.read_text().count("try")


def lines(file):
    """What the steps have written so far, without a line that is just being written: process, name, beginning, end."""
    if not file.exists():
        return []
    rows = [line.split() for line in file.read_text().split("\n")[:-1]]
    return [(int(process), name, float(begun), float(ended)) for process, name, begun, ended in rows]
