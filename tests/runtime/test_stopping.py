"""Replaced or cancelled work ends, and the next request gets the right result."""

import time

import pytest

from entviz.blocks import PruneSet
from entviz.errors import Cancelled
from entviz.evaluation import loss
from entviz.studies import TextSample
from tests.runtime.asking import MODEL, SAMPLE, TEXT, evaluation, result_of


def test_a_newer_evaluation_supersedes_the_older_one(here, smollm2):
    long = TextSample(MODEL, TEXT * 30, windows=4, window_length=256)
    older = here.ask(evaluation(long, "attn.1"), "a")
    while not older.done:
        assert not older.finished
        time.sleep(0.001)
    beside = here.ask(evaluation(long, "attn.3"), "a", slot=None)
    newer = here.ask(evaluation(SAMPLE, "attn.2"), "a")
    assert older.state == "cancelled"
    with pytest.raises(Cancelled):
        _ = older.result
    assert result_of(newer).windows == 2
    assert not beside.finished
    here.leave("a")
    assert beside.state == "cancelled"


def test_superseded_by_a_result_that_is_at_hand(here):
    known = result_of(here.ask(evaluation(SAMPLE, "attn.2"), "a"))
    older = here.ask(evaluation(TextSample(MODEL, TEXT * 30, 4, 256), "attn.1"), "a")
    assert here.ask(evaluation(SAMPLE, "attn.2"), "a").result is known
    assert older.state == "cancelled"


def test_after_cancelling_the_model_computes_the_same_as_before(here, smollm2, windows):
    dense = loss.evaluate(smollm2, windows, PruneSet()).nll
    for number in range(5):
        job = here.ask(evaluation(SAMPLE, f"layer.{number}"), "a")
        time.sleep(0.01 * number)
        job.cancel()
    assert result_of(here.ask(evaluation(SAMPLE, ""), "a")).nll == pytest.approx(dense, abs=1e-9)
