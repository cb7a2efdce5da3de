"""The queue's turns and its ends pass through the pipe: one request computes at a time, and a stopped one ends."""

import time
from itertools import pairwise

import pytest

from entviz.errors import Cancelled
from tests.runtime.apart.work import Steps, ask, lines
from tests.runtime.asking import result_of


def test_sessions_take_turns_and_one_computes_at_a_time(apart, tmp_path):
    file = tmp_path / "steps"
    jobs = [ask(apart, Steps(file, name, count=60), name) for name in ("a", "b")]
    processes = {result_of(job) for job in jobs}
    steps = lines(file)
    assert processes == {apart.engine.pid}
    assert len(steps) == 120
    in_order = sorted(steps, key=lambda step: step[2])
    for (_, _, _, ended), (_, _, begun, _) in pairwise(in_order):
        assert begun >= ended, "two computed at once"
    names = [name for _, name, _, _ in in_order]
    changes = sum(one != next_one for one, next_one in pairwise(names))
    assert 2 <= changes <= 12, "each has a quarter of a second at a time"


def test_others_compute_while_one_steps_aside(apart, tmp_path):
    file = tmp_path / "steps"
    long = ask(apart, Steps(file, "aside", count=3000, aside=True), "a")
    short = ask(apart, Steps(file, "short", count=10), "b")
    result_of(short)
    assert not long.finished
    assert {name for _, name, _, _ in lines(file)} == {"aside", "short"}
    long.cancel()
    with pytest.raises(Cancelled):
        _ = long.result


@pytest.mark.parametrize("aside", [False, True])
def test_a_cancelled_request_ends_in_the_child(apart, tmp_path, until, aside):
    file = tmp_path / "steps"
    job = ask(apart, Steps(file, count=3000, aside=aside), "a")
    until(lambda: job.done > 3)
    assert job.partial is not None
    job.cancel()
    assert job.state == "cancelled"
    time.sleep(0.5)
    steps = len(lines(file))
    time.sleep(0.5)
    assert len(lines(file)) == steps < 3000, "it computes on"
    until(lambda: not apart.worker._threads)


def test_a_newer_request_supersedes_an_older_one(apart, tmp_path, until):
    older = ask(apart, Steps(tmp_path / "older", count=3000), "a", slot="steps")
    until(lambda: older.done > 3)
    newer = ask(apart, Steps(tmp_path / "newer", count=3), "a", slot="steps")
    assert older.state == "cancelled"
    assert result_of(newer) == apart.engine.pid
