"""A job with bad or too large input fails with a sentence."""

import pytest

from entviz.errors import BlockError, ModelError, OptionError, TextError
from entviz.runtime.queue import Worker
from entviz.studies import Analyze, JudgeCriteria, MeasurePairs, Rank, RankingOptions, TextSample
from tests.runtime.asking import MODEL, SAMPLE, TEXT, evaluation, generation_of, scoring


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda here: here.ask(evaluation(SAMPLE, "attn.30"), "a"), BlockError, "0 to 29"),
        (lambda here: here.ask(evaluation(SAMPLE, "", "int4"), "a"), OptionError, "int4"),
        (lambda here: here.ask(Analyze(SAMPLE, ()), "a"), OptionError, "metric"),
        (lambda here: here.ask(generation_of(SAMPLE, "", "", 5), "a"), TextError, "empty"),
        (lambda here: here.ask(generation_of(SAMPLE, "x", "", 10**9), "a"), OptionError, "token"),
        (lambda here: here.ask(evaluation(TextSample(MODEL, " ", 1, 32), ""), "a"), TextError, "empty"),
        (
            lambda here: here.ask(evaluation(TextSample(MODEL, "Too short.", 1, 32), ""), "a"),
            TextError,
            "tokens",
        ),
        (lambda here: here.ask(evaluation(TextSample("./none", TEXT, 1, 32), ""), "a"), ModelError, "none"),
        (lambda here: here.ask(evaluation(TextSample("a\x00b", TEXT, 1, 32), ""), "a"), ModelError, ""),
        (lambda here: here.ask(evaluation(TextSample("x" * 5000, TEXT, 1, 32), ""), "a"), ModelError, ""),
        (lambda here: here.prepare("./none", "a"), ModelError, "none"),
    ],
)
def test_bad_input_is_a_failed_job_with_a_sentence(here, ask, error, words):
    job = ask(here)
    assert job.wait(60)
    assert job.state == "failed"
    assert isinstance(job.error, error)
    assert words in str(job.error)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Analyze(SAMPLE, ("entropy",)), OptionError, "entropy"),
        (lambda: Analyze(SAMPLE, ("knn",), ("head",)), BlockError, "head"),
        (lambda: Rank(SAMPLE, RankingOptions("best", "knn", "attn", 1)), OptionError, "best"),
        (lambda: JudgeCriteria(SAMPLE, "head"), BlockError, "head"),
        (lambda: MeasurePairs(SAMPLE, "head"), BlockError, "head"),
        (lambda: scoring(MODEL, "no such task"), OptionError, "hellaswag"),
        (lambda: scoring(MODEL, "/etc/passwd"), OptionError, "no task"),
    ],
)
def test_what_can_be_told_of_a_question_by_itself_is_told_where_it_is_made(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_a_full_queue_is_a_failed_job(make):
    here = make(worker=Worker(queued=1))
    first = here.ask(evaluation(TextSample(MODEL, TEXT * 30, 4, 256), ""), "a")
    second = here.ask(evaluation(SAMPLE, "attn.1"), "b")
    assert second.state == "failed"
    assert "try again" in str(second.error)
    first.cancel()
