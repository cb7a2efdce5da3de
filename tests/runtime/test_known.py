"""Nothing is computed twice: a known result is available at once, in this process and the next."""

import pytest

from entviz.comparison.grid import choosing
from entviz.comparison.trust import trust
from entviz.runtime.model_cache import ModelCache
from entviz.studies import Analyze, Compare, JudgeCriteria, TextSample
from tests.models.files import saved
from tests.runtime.asking import MODEL, SAMPLE, TEXT, evaluation, generation_of, result_of


def test_what_was_computed_is_not_computed_again(here, make, runs, monkeypatch):
    asked = [
        lambda here: here.ask(evaluation(SAMPLE, "attn.4,mlp.4"), "a"),
        lambda here: here.ask(Analyze(SAMPLE, ("bucket",)), "a"),
        lambda here: here.ask(generation_of(SAMPLE, "Once", "mlp.3", 2), "a"),
    ]
    first = [result_of(ask(here)) for ask in asked]
    assert runs == {"evaluate": 1, "analyze": 1, "generate": 1}
    for result, ask in zip(first, asked, strict=True):
        job = ask(here)
        assert job.finished
        assert job.result is result
    assert result_of(here.ask(evaluation(SAMPLE, "layer.4"), "b")) is first[0], "attn.4 and mlp.4 are layer.4"
    # After a restart, and without the model.
    monkeypatch.setattr(ModelCache, "get", lambda *_: pytest.fail("it loaded the model"))
    later = make(models=ModelCache())
    again = [ask(later) for ask in asked]
    assert all(job.finished for job in again)
    assert again[0].result.to_json() == first[0].to_json()
    assert again[1].result.to_json() == first[1].to_json()
    assert again[2].result == first[2]
    assert runs == {"evaluate": 1, "analyze": 1, "generate": 1}


def test_a_second_session_joins_the_work_of_the_first(here, runs):
    jobs = [here.ask(evaluation(SAMPLE, "attn.6"), session) for session in "abcd"]
    results = {id(result_of(job)) for job in jobs}
    assert len(results) == 1
    assert runs["evaluate"] == 1


def test_the_same_tokens_from_another_text_are_the_same_work(here, runs):
    """The second text differs only after the last window, so its token ids are the same."""
    first = result_of(here.ask(evaluation(SAMPLE, "attn.6"), "a"))
    longer = TextSample(MODEL, TEXT + "And so on.", 2, 40)
    assert result_of(here.ask(evaluation(longer, "attn.6"), "a")) is first
    assert here.ask(evaluation(longer, "attn.6"), "a").finished
    assert runs["evaluate"] == 1


def test_every_option_makes_a_result_of_its_own(here, runs):
    requests = [SAMPLE, TextSample(MODEL, TEXT, 1, 40), TextSample(MODEL, TEXT, 2, 32)]
    shapes = [result_of(here.ask(evaluation(request, "attn.6"), "a")).token_ids.shape for request in requests]
    assert shapes == [(2, 40), (1, 40), (2, 32)]
    half = result_of(here.ask(evaluation(SAMPLE, "attn.6", "bfloat16"), "a"))
    assert half.dtype == "bfloat16"
    assert runs["evaluate"] == 4


def test_runs_are_listed_with_what_to_open_them_again(here):
    result = result_of(here.ask(evaluation(SAMPLE, "attn.6"), "a"))
    (run,) = here.store.runs()
    assert (run.kind, run.model) == ("evaluation", MODEL)
    assert run.description.startswith("The harbour lay quiet")
    assert run.options == {
        "windows": 2,
        "window_length": 40,
        "drop": "attn.6",
        "dtype": "float32",
        "model": MODEL,
    }
    assert run.summary["perplexity"] == pytest.approx(result.perplexity)
    assert here.store.text(run.key) == TEXT


@pytest.mark.parametrize("module", [trust, choosing])
def test_what_was_explored_is_not_measured_again_to_judge_or_compare_criteria(
    make, tmp_path, monkeypatch, module
):
    saved(tmp_path / "model", layers=6)
    here, request = make(models=ModelCache()), TextSample(str(tmp_path / "model"), TEXT * 2, 1, 40)

    def judge():
        if module is trust:
            return here.ask(JudgeCriteria(request, "attn"), "a")
        return here.ask(Compare(request, ("cosine",), ("1",), ("attn",)), "a")

    measured = []
    real = module.analyze
    monkeypatch.setattr(module, "analyze", lambda *a, **k: (measured.append(a), real(*a, **k))[1])
    result_of(here.ask(Analyze(request, ("cosine", "knn", "renyi", "bucket")), "a"))
    result_of(judge())
    assert not measured
    here.forget(*(run.key for run in here.store.runs()))
    result_of(judge())
    assert measured, "the count is worth nothing if it counts nothing"
