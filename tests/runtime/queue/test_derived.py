"""Jobs that are made from another one's result."""

import pytest

from entviz.errors import OptionError
from entviz.runtime.queue import Derived, Job
from tests.runtime.queue.work import Held, blocked, finish


def test_a_derived_job_follows_its_source_and_is_made_once(worker):
    go = blocked(worker)
    held = Held(20)
    source = worker.submit("a", held, session="s")
    made = []

    def make(result):
        made.append(result)
        return result + 1

    job = Derived(source, make)
    assert (job.state, job.position) == ("queued", 1)
    go.set()
    assert held.started.wait(10)
    assert (job.state, job.finished) == ("running", False)
    held.go.set()
    finish(job)
    assert (job.result, job.snapshot().partial, made) == (21, 21, [20])


def test_a_derived_job_is_cancelled_through_its_source_and_fails_on_its_own(worker):
    held = Held()
    source = worker.submit("a", held, session="s")
    first = Derived(source, lambda result: result)
    first.cancel("stranger")
    assert source.state == "running", "who does not wait cannot stop it"
    first.cancel("s")
    assert source.state == "cancelled"
    assert first.state == "cancelled"
    answered = Job.answered("k", 1)

    def refuse(result):
        raise OptionError("not this way")

    failed = Derived(answered, refuse)
    assert failed.state == "failed"
    with pytest.raises(OptionError, match="not this way"):
        _ = failed.result
    assert "ZeroDivisionError" in str(Derived(answered, lambda result: result // 0).error)
    assert answered.result == 1
