"""A job: its progress and result, waiting for it, and reading it from other threads."""

import time

import pytest

from entviz.errors import OptionError
from entviz.progress import seconds_left
from entviz.runtime.queue import Job
from tests.runtime.queue.work import Held, finish


def test_a_job_reports_progress_and_gives_its_result(worker):
    seen = []

    def work(progress):
        progress(1, 2, "half")
        seen.append(job.snapshot())
        progress(2, 2)
        return "whole"

    job = worker.submit("a", work, session="s")
    finish(job)
    assert job.result == "whole"
    view = job.snapshot()
    assert (view.state, view.done, view.total, view.partial, view.finished) == ("done", 2, 2, "whole", True)
    assert (seen[0].state, seen[0].done, seen[0].partial) == ("running", 1, "half")


def test_a_job_tells_how_long_its_steps_took_from_when_it_began(worker, clock):
    """Time in the queue is no time of the work, which would make what is left look longer."""
    held, seen = Held(), []

    def work(progress):
        for step in range(4):
            clock.now += 10.0
            progress(step + 1, 8)
            seen.append(job.snapshot())

    first = worker.submit("a", held, session="someone else")
    assert held.started.wait(10)
    job = worker.submit("b", work, session="s")
    clock.now += 500.0
    held.go.set()
    finish(first, job)
    assert [view.seconds for view in seen] == [10.0, 20.0, 30.0, 40.0]
    assert seconds_left(seen[-1].done / seen[-1].total, seen[-1].seconds) == 40.0


@pytest.mark.parametrize(("share", "seconds"), [(0.0, 60.0), (0.01, 60.0), (0.5, 1.0)])
def test_too_little_done_tells_nothing_of_what_is_left(share, seconds):
    assert seconds_left(share, seconds) is None


def test_the_result_cannot_be_read_early(worker):
    held = Held()
    job = worker.submit("a", held, session="s")
    with pytest.raises(RuntimeError, match="wait for it"):
        _ = job.result
    held.go.set()
    finish(job)
    assert job.result == "held"


def test_waiting_ends_at_its_timeout(worker):
    held = Held()
    job = worker.submit("a", held, session="s")
    assert job.wait(0.001) is False
    held.go.set()
    assert job.wait(10) is True


def test_jobs_that_need_no_worker():
    answered = Job.answered("k", 42)
    assert answered.wait()
    assert answered.result == 42
    assert answered.partial == 42
    refused = Job.refused("k", OptionError("no"))
    assert refused.wait()
    assert refused.state == "failed"
    with pytest.raises(OptionError, match="no"):
        _ = refused.result
    for job in answered, refused:
        job.touch("s")
        job.cancel("s")
    assert (answered.state, refused.state) == ("done", "failed")


def test_snapshots_are_never_half_a_change(worker):
    """A reader that races the reports always finds steps and partial result of one and the same report."""
    worker._clock = time.monotonic

    def work(progress):
        for step in range(3000):
            progress(step, 3000, step)

    job = worker.submit("a", work, session="s")
    looks = 0
    while not (view := job.snapshot()).finished:
        if view.partial is not None:
            assert view.done == view.partial
        looks += 1
    assert looks > 0
    assert job.state == "done"
