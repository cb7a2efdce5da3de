"""Memory is given back once nobody has wanted anything for a while."""

import threading
import time

import pytest

from entviz.workbench.rest import Rest
from tests.workbench.asking import REQUEST, result_of


def test_memory_is_given_back_after_a_while_without_work(make):
    bench = make(rest_after=0.05)
    first = result_of(bench.evaluate(REQUEST, "attn.2", "a"))
    for _ in range(2000):
        if bench.workshop.states.bytes == 0 and bench.evaluate(REQUEST, "attn.2", "a").result is not first:
            break
        time.sleep(0.005)
    else:
        pytest.fail("the hidden states are still there")
    assert bench.evaluate(REQUEST, "attn.2", "a").result.to_json() == first.to_json()


def test_rest_comes_after_the_last_disturbance():
    called = []
    rested = threading.Event()
    rest = Rest(0.05, lambda: (called.append(time.monotonic()), rested.set()))
    for _ in range(5):
        rest.disturb()
        last = time.monotonic()
    assert rested.wait(10)
    assert called[0] - last >= 0.049
    assert len(called) == 1
    rested.clear()
    rest.disturb()
    rest.stop()
    assert not rested.wait(0.1)
