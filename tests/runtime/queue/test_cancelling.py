"""Work ends when it is cancelled, when nobody waits for it, and when the worker closes; nothing is left behind."""

import threading

from entviz.runtime.queue import QueueFull, Worker
from tests.runtime.queue.work import Held, blocked, finish, until


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
    assert "no session was waiting" in str(running.error)
    assert not kept.finished
    assert "b" not in worker._unfinished[kept.key].waiters
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
    until(lambda: worker._unfinished[job.key].blocked)
    reports = threading.Event()
    with worker._lock:  # a report in between would begin a new quantum, which no clock uses up
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
