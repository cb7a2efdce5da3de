"""Work to submit in tests, and functions that control it.

It computes by advancing a clock that only it advances, so fairness is asserted on exact seconds.
"""

import threading
import time

from entviz.errors import Cancelled


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Steps:
    """Work of ``steps`` steps of ``seconds`` each; writes down every step that it computes."""

    def __init__(self, clock, record, name, steps, seconds=0.25):
        self.clock, self.record, self.name, self.steps, self.seconds = clock, record, name, steps, seconds

    def __call__(self, progress):
        for step in range(self.steps):
            self.clock.now += self.seconds
            self.record.append(self.name)
            progress(step + 1, self.steps)
        return f"{self.name} is done"


class Held:
    """Work that starts, says so, and goes on when it is let go; each letting go is one report."""

    def __init__(self, result="held"):
        self.started, self.go, self.result = threading.Event(), threading.Event(), result
        self.stopped = threading.Event()

    def __call__(self, progress):
        self.started.set()
        try:
            while not self.go.wait(0.002):
                progress(0, 1)
        except Cancelled:
            self.stopped.set()
            raise
        return self.result


def blocked(worker, session="blocker"):
    """Occupy the device so that what is submitted next queues up; returns how to let it go."""
    started, go = threading.Event(), threading.Event()

    def block(progress):
        started.set()
        assert go.wait(10)

    worker.submit(f"block {session}", block, session=session)
    assert started.wait(10)
    return go


def finish(*jobs):
    for job in jobs:
        assert job.wait(10), job.snapshot()


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
