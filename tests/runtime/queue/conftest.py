"""A worker whose clock only the work advances."""

import pytest

from entviz.runtime.queue import Worker
from tests.runtime.queue.work import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def worker(clock):
    worker = Worker("test", clock=clock, patience=1e6)
    yield worker
    worker.close()
    assert not worker._threads, "a thread outlived the worker"
