"""What a user reads when work fails, and that other work is not affected."""

import logging

import pytest

from entviz.errors import EntvizError, OptionError
from tests.runtime.queue.work import finish


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
