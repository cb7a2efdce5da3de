"""The worker gives sessions equal shares of the device, and lets one compute at a time."""

import threading
import time

import pytest

from tests.runtime.queue.work import Steps, blocked, finish


def test_twenty_sessions_are_served_in_turn_whoever_asked_for_more(clock, worker):
    record = []
    go = blocked(worker)
    jobs = []
    for session in range(20):
        for number in range(8 if session == 0 else 3):
            work = Steps(clock, record, session, steps=1)
            jobs.append(worker.submit(f"{session}/{number}", work, session=str(session)))
    go.set()
    finish(*jobs)
    # In every round each session that still has jobs is served once.
    for start in (0, 20, 40):
        assert sorted(record[start : start + 20]) == list(range(20))
    assert record[60:] == [0] * 5


def test_a_long_job_shares_the_device_with_short_ones(clock, worker):
    record = []
    go = blocked(worker)
    long = worker.submit("long", Steps(clock, record, "long", steps=40), session="a")
    short = [
        worker.submit(f"short {i}", Steps(clock, record, f"short {i}", steps=2), session=f"b{i}")
        for i in range(3)
    ]
    go.set()
    finish(long, *short)
    assert record.index("short 0") < 4
    assert record.index("short 2") < 4
    # Until the short ones end, the long one has every fourth step: its share, no more and no less.
    assert record[:8].count("long") == 2
    assert record.count("long") == 40, "a paused job computes each step exactly once"


def test_long_steps_are_paid_for(clock, worker):
    record = []
    go = blocked(worker)
    coarse = worker.submit("coarse", Steps(clock, record, "coarse", steps=8, seconds=1.0), session="a")
    fine = worker.submit("fine", Steps(clock, record, "fine", steps=32, seconds=0.25), session="b")
    go.set()
    finish(coarse, fine)
    # While both ran, each got half of the seconds, to within one long step.
    seconds = {"coarse": 0.0, "fine": 0.0}
    for name in record[: max(record.index("fine"), len(record) - 1 - record[::-1].index("coarse"))]:
        seconds[name] += 1.0 if name == "coarse" else 0.25
        assert abs(seconds["coarse"] - seconds["fine"]) <= 1.25


def test_time_that_nobody_wanted_is_not_held_against_a_session(clock, worker):
    record = []
    first_part, go_on = threading.Event(), threading.Event()

    def alone_then_together(progress):
        for step in range(100):  # 25 seconds while nobody else is there
            clock.now += 0.25
            progress(step, 100)
        first_part.set()
        assert go_on.wait(10)
        return Steps(clock, record, "first", steps=4)(progress)

    first = worker.submit("first", alone_then_together, session="a")
    assert first_part.wait(10)
    second = worker.submit("second", Steps(clock, record, "second", steps=4), session="b")
    go_on.set()
    finish(first, second)
    assert record[:4].count("first") == 2


def test_urgent_work_goes_first_but_leaves_every_fourth_turn(clock, worker):
    record = []
    go = blocked(worker)
    long = worker.submit("long", Steps(clock, record, "long", steps=40), session="a")
    urgent = [
        worker.submit(
            f"urgent {i}", Steps(clock, record, f"urgent {i}", steps=9), session=f"b{i}", priority=1
        )
        for i in range(2)
    ]
    go.set()
    finish(long, *urgent)
    together = record[:24]
    assert together.count("long") == 6
    assert all(one == "long" for one in together[3::4])
    assert abs(together.count("urgent 0") - together.count("urgent 1")) <= 1
    assert record.count("long") == 40


def test_priority_up_to_0_orders_only_a_sessions_own_jobs(clock, worker):
    record = []
    go = blocked(worker)
    jobs = [
        worker.submit("a low", Steps(clock, record, "a low", steps=2), session="a", priority=-1),
        worker.submit("b", Steps(clock, record, "b", steps=2), session="b"),
        worker.submit("a high", Steps(clock, record, "a high", steps=2), session="a"),
    ]
    go.set()
    finish(*jobs)
    assert record == ["a high", "b", "a high", "b", "a low", "a low"]


@pytest.mark.parametrize("session", ["a", "b"], ids=["of its session", "of another"])
def test_background_work_gives_way_at_its_next_report(clock, worker, session):
    """Its steps are far shorter than a quantum: what comes after one of them need not wait for the others."""
    record, reached, go_on = [], threading.Event(), threading.Event()

    def background(progress):
        for step in range(200):
            clock.now += 0.01
            record.append("background")
            if step == 4:
                reached.set()
                assert go_on.wait(10)
            progress(step + 1, 200)

    low = worker.submit("low", background, session="a", priority=-1)
    assert reached.wait(10)
    jobs = [
        worker.submit(
            f"{priority}", Steps(clock, record, f"{priority}", 3), session=session, priority=priority
        )
        for priority in (1, 0)
    ]
    go_on.set()
    finish(low, *jobs)
    after = record[5:]
    assert after[0] == "1", "it gave way at once"
    done = max(place for place, name in enumerate(after) if name != "background")
    assert after[:done].count("background") <= 3, "a step at a time, and not a quantum"
    assert record.count("background") == 200


def test_one_computes_at_a_time(worker):
    inside, most = [], []

    def work(progress):
        for step in range(20):
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            progress(step, 20)

    worker._ring.quantum = 0.0001
    worker._clock = time.monotonic
    finish(*(worker.submit(f"{i}", work, session=f"{i}") for i in range(20)))
    assert max(most) == 1
    assert len(most) == 400


def test_others_compute_while_a_job_is_aside(worker):
    download, downloaded = threading.Event(), threading.Event()

    def load(progress):
        with progress.aside():
            download.set()
            assert downloaded.wait(10)
        return "loaded"

    loading = worker.submit("load", load, session="a")
    assert download.wait(10)
    other = worker.submit("other", lambda progress: "computed", session="b")
    finish(other)
    assert loading.state == "running"
    downloaded.set()
    finish(loading)
    assert loading.result == "loaded"
