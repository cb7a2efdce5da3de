"""Bad input, and more of it than there is room for, is a failed job with a sentence."""

import pytest

from entviz.errors import BlockError, ModelError, OptionError, TextError
from entviz.jobs import Worker
from entviz.workbench import Request
from tests.workbench.asking import MODEL, REQUEST, TEXT


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda bench: bench.evaluate(REQUEST, "head.3", "a"), BlockError, "head.3"),
        (lambda bench: bench.evaluate(REQUEST, "attn.30", "a"), BlockError, "0 to 29"),
        (lambda bench: bench.evaluate(REQUEST, "", "a", dtype="int4"), OptionError, "int4"),
        (lambda bench: bench.analyze(REQUEST, ("entropy",), "a"), OptionError, "entropy"),
        (lambda bench: bench.analyze(REQUEST, (), "a"), OptionError, "metric"),
        (lambda bench: bench.analyze(REQUEST, ("knn",), "a", levels=("head",)), BlockError, "head"),
        (lambda bench: bench.rank(REQUEST, "best", "knn", "attn", 1, "a"), OptionError, "best"),
        (lambda bench: bench.generate(REQUEST, "", "", 5, "a"), TextError, "empty"),
        (lambda bench: bench.generate(REQUEST, "x", "", 10**9, "a"), OptionError, "token"),
        (lambda bench: bench.evaluate(Request(MODEL, " ", 1, 32), "", "a"), TextError, "empty"),
        (lambda bench: bench.evaluate(Request(MODEL, "Too short.", 1, 32), "", "a"), TextError, "tokens"),
        (lambda bench: bench.evaluate(Request("./none", TEXT, 1, 32), "", "a"), ModelError, "none"),
        (lambda bench: bench.evaluate(Request("a\0b", TEXT, 1, 32), "", "a"), ModelError, ""),
        (lambda bench: bench.evaluate(Request("x" * 5000, TEXT, 1, 32), "", "a"), ModelError, ""),
        (lambda bench: bench.prepare("./none", "a"), ModelError, "none"),
    ],
)
def test_bad_input_is_a_failed_job_with_a_sentence(here, ask, error, words):
    job = ask(here)
    assert job.wait(60)
    assert job.state == "failed"
    assert isinstance(job.error, error)
    assert words in str(job.error)


def test_a_full_queue_is_a_failed_job(make):
    bench = make(worker=Worker(queued=1))
    first = bench.evaluate(Request(MODEL, TEXT * 30, 4, 256), "", "a")
    second = bench.evaluate(REQUEST, "attn.1", "b")
    assert second.state == "failed"
    assert "try again" in str(second.error)
    first.cancel()
