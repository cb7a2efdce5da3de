"""The worker: fair turns, sharing, superseding, cancelling, and what a user reads when work fails.

Work here computes by advancing a clock that only it advances, so fairness is asserted on exact seconds.
"""

import logging
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entviz.errors import Cancelled, EntvizError, OptionError
from entviz.jobs import Derived, Job, QueueFull, Worker
from entviz.jobs.ring import LARGEST_DEBT, Ring


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


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def worker(clock):
    worker = Worker("test", clock=clock, patience=1e6)
    yield worker
    worker.close()
    assert not worker._threads, "a thread outlived the worker"


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


# Results


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


# Errors


def test_a_users_error_reaches_the_reader_without_a_traceback_that_grows(worker):
    def work(progress):
        raise OptionError("k must be positive.")

    job = worker.submit("a", work, session="s")
    finish(job)
    depths = []
    for _ in range(3):
        with pytest.raises(OptionError, match="k must be positive") as caught:
            _ = job.result
        depths.append(len(caught.traceback))
    assert len(set(depths)) == 1
    assert job.state == "failed"


def test_an_unexpected_error_is_logged_and_becomes_a_sentence(worker, caplog):
    def work(progress):
        return 1 // 0

    with caplog.at_level(logging.ERROR, logger="entviz"):
        job = worker.submit("a", work, session="s")
        finish(job)
    assert type(job.error) is EntvizError
    assert "Something failed inside entviz (ZeroDivisionError)" in str(job.error)
    assert "1 // 0" in caplog.text


def test_an_error_keeps_nothing_of_the_work_alive(worker):
    class Heavy:
        alive = 0

        def __init__(self):
            Heavy.alive += 1

        def __del__(self):
            Heavy.alive -= 1

    def work(progress):
        heavy = Heavy()
        raise OptionError(f"no {heavy.alive}")

    job = worker.submit("a", work, session="s")
    finish(job)
    worker.close()
    assert Heavy.alive == 0


class OutOfMemoryError(RuntimeError):
    """Named as torch's is."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 80 bytes"),
    ],
)
def test_running_out_of_memory_gives_advice(worker, error):
    def work(progress):
        raise error

    job = worker.submit("a", work, session="s")
    finish(job)
    assert "fewer or shorter windows" in str(job.error)


def test_a_failure_does_not_stop_the_next_job(worker):
    def fail(progress):
        raise SystemExit

    first = worker.submit("a", fail, session="s")
    second = worker.submit("b", lambda progress: 2, session="s")
    finish(first, second)
    assert (first.state, second.result) == ("failed", 2)


def test_a_failed_job_is_given_back_for_a_while_and_then_tried_again(worker, clock):
    runs = []

    def work(progress):
        runs.append(1)
        raise OptionError("no")

    first = worker.submit("a", work, session="s")
    finish(first)
    assert worker.submit("a", work, session="s") is first
    clock.now += 11
    again = worker.submit("a", work, session="s")
    finish(again)
    assert again is not first
    assert len(runs) == 2


# Fairness


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


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.lists(st.floats(0.01, 2.0), min_size=1), min_size=2),
    st.integers(20, 200),
)
def test_ring_shares_seconds_equally_whatever_the_steps(steps, turns):
    """Deficit round robin: sessions that always want to compute differ by a quantum and a longest step at most."""
    ring = Ring(0.25)
    spent = dict.fromkeys(steps, 0.0)
    for session in steps:
        ring.join(session)
    for turn in range(turns):
        session = ring.choose(steps)
        seconds = 0.0
        while not ring.used_up(session, seconds):
            seconds += steps[session][turn % len(steps[session])]
        ring.charge(session, seconds)
        spent[session] += seconds
    assert max(spent.values()) - min(spent.values()) <= 0.25 + 2 * 2.0


def test_ring_puts_newcomers_before_whoever_has_just_had_a_turn():
    ring = Ring(0.25)
    for session in "ab":
        ring.join(session)
    assert ring.choose("ab") == "a"
    ring.join("c")
    ring.charge("a", 0.25)
    order = []
    for _ in range(3):
        order.append(ring.choose("abc"))
        ring.charge(order[-1], 0.25)
    assert order == ["b", "c", "a"]


def test_ring_forgives_what_is_beyond_the_largest_debt():
    ring = Ring(0.25)
    ring.join("a")
    ring.join("b")
    assert ring.choose("ab") == "a"
    ring.charge("a", 3600.0)
    turns = 0
    while ring.choose("ab") == "b":
        ring.charge("b", 0.25)
        turns += 1
    assert turns == pytest.approx(LARGEST_DEBT / 0.25, abs=1)


def test_priority_orders_only_a_sessions_own_jobs(clock, worker):
    record = []
    go = blocked(worker)
    jobs = [
        worker.submit("a low", Steps(clock, record, "a low", steps=2), session="a", priority=-1),
        worker.submit("b", Steps(clock, record, "b", steps=2), session="b"),
        worker.submit("a high", Steps(clock, record, "a high", steps=2), session="a", priority=9),
    ]
    go.set()
    finish(*jobs)
    assert record == ["a high", "b", "a high", "b", "a low", "a low"]


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


# Bounds


def test_few_jobs_are_live_and_background_work_leaves_room(clock):
    worker = Worker("small", live=4, live_per_session=2, live_background=2, clock=clock)
    helds = [Held() for _ in range(6)]
    searches = [
        worker.submit(f"search {i}", held, session=f"{i}", priority=-1) for i, held in enumerate(helds)
    ]
    assert helds[0].started.wait(10)
    clock.now += 1  # the quantum is used up, so the second starts at the next report
    assert helds[1].started.wait(10)
    clock.now += 1
    quick = worker.submit("quick", Steps(clock, [], "quick", steps=1, seconds=3.0), session="q")
    assert quick.wait(10)
    assert [s.state for s in searches] == ["running"] * 2 + ["queued"] * 4
    assert [s.position for s in searches[2:]] == [1, 2, 3, 4]
    assert searches[5].snapshot().wait_seconds == pytest.approx(4 * 3.0)
    worker.close()
    assert {s.state for s in searches} == {"cancelled"}
    assert not worker._threads


def test_a_session_cannot_take_all_live_places(clock):
    worker = Worker("small", live=4, live_per_session=2, live_background=2, clock=clock)
    helds = [Held() for _ in range(4)]
    jobs = [worker.submit(f"greedy {i}", held, session="greedy") for i, held in enumerate(helds)]
    for held in helds[:2]:
        assert held.started.wait(10)
        clock.now += 1
    other = worker.submit("other", lambda progress: 1, session="other")
    assert other.wait(10)
    assert [job.state for job in jobs] == ["running", "running", "queued", "queued"]
    worker.close()


def test_queues_are_bounded(clock):
    worker = Worker("small", per_session=2, queued=3, clock=clock)
    held = Held()
    worker.submit("0", held, session="a")
    worker.submit("1", held, session="a")
    with pytest.raises(QueueFull, match="You have many things running"):
        worker.submit("2", held, session="a")
    worker.submit("3", held, session="b")
    with pytest.raises(QueueFull, match="Many people"):
        worker.submit("4", held, session="c")
    worker.submit("1", held, session="c")  # to share what is queued needs no room
    worker.close()
    with pytest.raises(EntvizError, match="shutting down"):
        worker.submit("5", held, session="a")


def test_finished_jobs_are_given_back_but_only_the_latest_are_kept(clock):
    worker = Worker("small", kept=3, clock=clock)
    runs = []

    def work(progress):
        runs.append(1)

    jobs = [worker.submit(str(i), work, session="a") for i in range(3)]
    finish(*jobs)
    assert worker.submit("0", work, session="b") is jobs[0]
    finish(worker.submit("3", work, session="a"))  # pushes out "1", which was used longest ago
    assert worker.submit("0", work, session="b") is jobs[0]
    again = worker.submit("1", work, session="b")
    finish(again)
    assert again is not jobs[1]
    assert len(runs) == 5
    worker.close()


# Sharing, superseding, cancelling


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


def test_a_cancelled_job_is_not_given_back(worker):
    held = Held()
    first = worker.submit("same", held, session="a")
    first.cancel()
    held.go.set()
    second = worker.submit("same", held, session="a")
    assert second is not first
    finish(second)
    assert second.result == "held"
    assert first.state == "cancelled"


def test_a_queued_job_is_dropped_at_once(worker):
    go = blocked(worker)
    ran = []
    job = worker.submit("queued", lambda progress: ran.append(1), session="a")
    assert job.state == "queued"
    job.cancel()
    assert job.state == "cancelled"
    assert job.wait(0)
    after = worker.submit("after", lambda progress: ran.append(2), session="a")
    go.set()
    finish(after)
    assert ran == [2]


def test_a_paused_job_can_be_cancelled(clock, worker):
    paused, other = Held(), Held()
    first = worker.submit("paused", paused, session="a")
    assert paused.started.wait(10)
    second = worker.submit("other", other, session="b")
    clock.now += 1
    assert other.started.wait(10)
    assert first.state == "running", "it has started, though it is not its turn"
    first.cancel()
    assert paused.stopped.wait(10)
    other.go.set()
    finish(second)
    assert second.result == "held"


def test_a_newer_job_supersedes_within_100_ms(worker):
    older, newer = Held(), Held()
    first = worker.submit("older", older, session="a", slot="evaluate")
    assert older.started.wait(10)
    start = time.perf_counter()
    second = worker.submit("newer", newer, session="a", slot="evaluate")
    assert first.state == "cancelled"
    assert newer.started.wait(10)
    assert time.perf_counter() - start < 0.1
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


def test_work_that_nobody_asks_after_is_cancelled(clock, worker):
    worker.patience = 10.0
    watched, forgotten, queued = Held(), Held(), Held()
    kept = worker.submit("watched", watched, session="a")
    running = worker.submit("forgotten", forgotten, session="b")
    shared = worker.submit("watched", watched, session="b")
    assert shared is kept
    clock.now += 1.0
    assert forgotten.started.wait(10)
    for _ in range(12):
        clock.now += 1.0
        kept.touch("a")
    assert forgotten.stopped.wait(10)
    assert running.finished
    assert "nobody was waiting" in str(running.error)
    assert not kept.finished
    assert "b" not in kept._waiters
    late = worker.submit("queued", queued, session="c")
    for _ in range(12):
        clock.now += 1.0
        kept.touch("a")
    until(lambda: late.state == "cancelled")  # not late.wait(): that would be somebody waiting
    assert not queued.started.is_set() or queued.stopped.wait(10)
    assert not kept.finished


def test_whoever_blocks_counts_as_waiting(clock, worker):
    worker.patience = 10.0
    held = Held("at last")
    job = worker.submit("slow", held, session="a")
    results = []
    reader = threading.Thread(target=lambda: (job.wait(10), results.append(job.result)))
    reader.start()
    until(lambda: job._blocked)
    reports = threading.Event()
    clock.now += 100
    other = worker.submit("other", lambda progress: reports.set(), session="b")
    assert reports.wait(10)
    assert other.wait(10)
    held.go.set()
    reader.join(10)
    assert results == ["at last"]


def test_leaving_cancels_everything_of_a_session_alone(worker):
    mine, shared = Held(), Held()
    first = worker.submit("mine", mine, session="a")
    both = worker.submit("shared", shared, session="a")
    worker.submit("shared", shared, session="b")
    worker.leave("a")
    assert first.state == "cancelled"
    assert not both.finished
    assert worker.unfinished == 1


def test_closing_ends_every_thread(clock):
    worker = Worker("closing", clock=clock)
    helds = [Held() for _ in range(5)]
    jobs = [worker.submit(str(i), held, session=str(i)) for i, held in enumerate(helds)]
    assert helds[0].started.wait(10)
    worker.close()
    assert {job.state for job in jobs} == {"cancelled"}
    assert not worker._threads
    assert worker.unfinished == 0


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


def test_many_sessions_at_random_leave_nothing_behind():
    """Submitting, superseding, cancelling and leaving from 8 threads at once: right results, nothing left."""
    worker = Worker("stress", quantum=0.0005, per_session=4)
    wrong = []

    def session(name):
        for number in range(30):
            key = number % 7

            def work(progress, key=key):
                for step in range(5):
                    progress(step, 5)
                return key

            try:
                job = worker.submit(f"key {key}", work, session=name, slot="one" if number % 2 else None)
            except QueueFull:
                continue
            if number % 5 == 0:
                job.cancel(name)
            elif number % 3:
                job.wait(10)
                if job.state == "done" and job.result != key:
                    wrong.append((name, key, job.result))
        worker.leave(name)

    threads = [threading.Thread(target=session, args=(f"s{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    worker.close()
    assert not wrong
    assert worker.unfinished == 0
    assert not worker._threads
    assert not worker._slots
