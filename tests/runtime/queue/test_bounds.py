"""How many jobs may be live, may wait in the queue, and are kept after they have finished."""

import pytest

from entviz.errors import EntvizError
from entviz.runtime.queue import QueueFull, Worker
from tests.runtime.queue.work import Held, Steps, finish


def test_few_jobs_are_live_and_background_work_leaves_room(clock):
    worker = Worker("small", live=4, live_per_session=2, live_background=2, clock=clock)
    helds = [Held() for _ in range(6)]
    searches = [
        worker.submit(f"search {i}", held, session=f"{i}", priority=-1) for i, held in enumerate(helds)
    ]
    assert helds[0].started.wait(10)
    clock.now += 1  # the quantum is used up, so the second starts at the next report
    assert helds[1].started.wait(10)
    with worker._lock:  # a report in between would give the turn to one whose quantum no clock uses up
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
    assert helds[0].started.wait(10)
    clock.now += 1
    assert helds[1].started.wait(10)
    with worker._lock:  # as above
        clock.now += 1
        other = worker.submit("other", lambda progress: 1, session="other")
    assert other.wait(10)
    assert [job.state for job in jobs] == ["running", "running", "queued", "queued"]
    worker.close()


def test_background_work_takes_no_live_place_of_its_session(clock):
    worker = Worker("small", live=4, live_per_session=1, live_background=2, clock=clock)
    held = Held()
    background = worker.submit("background", held, session="a", priority=-1)
    assert held.started.wait(10)
    quick = worker.submit("quick", lambda progress: 1, session="a")
    assert quick.wait(10)
    assert background.state == "running"
    worker.close()


def test_queues_are_bounded(clock):
    worker = Worker("small", per_session=2, queued=3, clock=clock)
    held = Held()
    worker.submit("0", held, session="a")
    worker.submit("1", held, session="a")
    with pytest.raises(QueueFull, match="You already have many jobs running"):
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
