"""Memory is released after a time without requests."""

import threading
import time

import pytest

from entviz.runtime.idle_timer import IdleTimer
from tests.runtime.asking import SAMPLE, evaluation, result_of


def test_memory_is_given_back_after_a_while_without_work(make):
    here = make(idle_seconds=0.05)
    first = result_of(here.ask(evaluation(SAMPLE, "attn.2"), "a"))
    for _ in range(2000):
        if (
            here.engine.states.cache.bytes == 0
            and here.ask(evaluation(SAMPLE, "attn.2"), "a").result is not first
        ):
            break
        time.sleep(0.005)
    else:
        pytest.fail("the hidden states are still there")
    assert here.ask(evaluation(SAMPLE, "attn.2"), "a").result.to_json() == first.to_json()


def test_rest_comes_after_the_last_disturbance():
    called = []
    rested = threading.Event()
    rest = IdleTimer(0.05, lambda: (called.append(time.monotonic()), rested.set()))
    for _ in range(5):
        rest.restart()
        last = time.monotonic()
    assert rested.wait(10)
    assert called[0] - last >= 0.049
    assert len(called) == 1
    rested.clear()
    rest.restart()
    rest.stop()
    assert not rested.wait(0.1)
