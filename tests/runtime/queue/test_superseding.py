"""Sessions that ask for the same result share a job, and a session's newer job replaces its older one."""

import pytest

from entviz.errors import Cancelled
from tests.runtime.queue.work import Held, Steps, blocked, finish


def test_sessions_that_ask_for_the_same_share_one_job(worker):
    held = Held()
    first = worker.submit("same", held, session="a")
    second = worker.submit("same", held, session="b")
    assert first is second
    first.cancel("a")
    assert first.state == "running"
    first.cancel("b")
    assert first.state == "cancelled"
    assert held.stopped.wait(10)
    with pytest.raises(Cancelled):
        _ = first.result


def test_a_newer_job_supersedes_at_once(worker):
    older, newer = Held(), Held()
    first = worker.submit("older", older, session="a", slot="evaluate")
    assert older.started.wait(10)
    second = worker.submit("newer", newer, session="a", slot="evaluate")
    assert first.state == "cancelled"
    assert newer.started.wait(10)
    newer.go.set()
    finish(second)


def test_superseding_spares_what_others_wait_for_and_other_slots(worker):
    shared, aside, newer = Held(), Held(), Held()
    job = worker.submit("shared", shared, session="a", slot="evaluate")
    worker.submit("shared", shared, session="b", slot="evaluate")
    other = worker.submit("aside", aside, session="a", slot="analyze")
    worker.submit("newer", newer, session="a", slot="evaluate")
    assert not job.finished
    assert not other.finished
    worker.withdraw("b", "evaluate")
    assert job.state == "cancelled"
    assert not other.finished


def test_asking_again_for_the_same_does_not_supersede_it(worker):
    held = Held()
    job = worker.submit("same", held, session="a", slot="evaluate")
    assert worker.submit("same", held, session="a", slot="evaluate") is job
    assert not job.finished


def test_superseding_holds_when_the_newer_one_is_at_hand(worker):
    done = worker.submit("done", lambda progress: 1, session="a", slot="evaluate")
    finish(done)
    held = Held()
    older = worker.submit("older", held, session="a", slot="evaluate")
    assert worker.submit("done", lambda progress: 1, session="a", slot="evaluate") is done
    assert older.state == "cancelled"


def test_superseding_keeps_the_sessions_place_in_the_ring(clock, worker):
    record = []
    go = blocked(worker)
    worker.submit("a1", Steps(clock, record, "a1", steps=1), session="a", slot="evaluate")
    b = worker.submit("b", Steps(clock, record, "b", steps=1), session="b")
    a = worker.submit("a2", Steps(clock, record, "a2", steps=1), session="a", slot="evaluate")
    go.set()
    finish(a, b)
    assert record == ["a2", "b"]
