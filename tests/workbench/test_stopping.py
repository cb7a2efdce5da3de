"""Work that is superseded or cancelled ends, and what is asked next is right."""

import time

import pytest

from entviz.blocks import PruneSet
from entviz.errors import Cancelled
from entviz.evaluation import loss
from entviz.workbench import Request
from tests.workbench.asking import MODEL, REQUEST, TEXT, result_of


def test_a_newer_evaluation_supersedes_the_older_one(here, smollm2):
    long = Request(MODEL, TEXT * 30, windows=4, window_length=256)
    older = here.evaluate(long, "attn.1", "a")
    while not older.done:
        assert not older.finished
        time.sleep(0.001)
    beside = here.evaluate(long, "attn.3", "a", supersede=False)
    newer = here.evaluate(REQUEST, "attn.2", "a")
    assert older.state == "cancelled"
    with pytest.raises(Cancelled):
        _ = older.result
    assert result_of(newer).windows == 2
    assert not beside.finished
    here.leave("a")
    assert beside.state == "cancelled"


def test_superseded_by_a_result_that_is_at_hand(here):
    known = result_of(here.evaluate(REQUEST, "attn.2", "a"))
    older = here.evaluate(Request(MODEL, TEXT * 30, 4, 256), "attn.1", "a")
    assert here.evaluate(REQUEST, "attn.2", "a").result is known
    assert older.state == "cancelled"


def test_after_cancelling_the_model_computes_the_same_as_before(here, smollm2, windows):
    dense = loss.evaluate(smollm2, windows, PruneSet()).nll
    for number in range(5):
        job = here.evaluate(REQUEST, f"layer.{number}", "a")
        time.sleep(0.01 * number)
        job.cancel()
    assert result_of(here.evaluate(REQUEST, "", "a")).nll == pytest.approx(dense, abs=1e-9)
