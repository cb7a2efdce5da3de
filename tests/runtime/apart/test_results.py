"""What the child computes is what this process computes, with everything that a page sees meanwhile."""

import os
import time

import numpy as np
import psutil
import pytest

from entviz.blocks import PruneSet
from entviz.errors import BlockError, EntvizError, ModelError
from entviz.runtime import Runtime
from entviz.runtime.model_cache import ModelCache
from entviz.runtime.queue import Worker
from entviz.studies import Analyze, Rank, RankingOptions, TextSample
from entviz.studies.registry import open_store
from tests.runtime.apart.work import Returns, ask
from tests.runtime.asking import MODEL, SAMPLE, TEXT, evaluation, generation_of, result_of


@pytest.fixture(scope="module")
def here(tmp_path_factory, smollm2):
    """A runtime whose models are in this process, with a store of its own."""
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('here')}/runs.sqlite")
    models = ModelCache()
    models.put(MODEL, smollm2)
    runtime = Runtime(store=store, models=models, worker=Worker(patience=600))
    yield runtime
    runtime.close()


@pytest.mark.parametrize("drop", ["", "attn.7,layer.12"])
def test_an_evaluation(apart, here, drop):
    mine, other = (result_of(one.ask(evaluation(SAMPLE, drop), "a")) for one in (here, apart))
    for name in ("token_ids", "token_nll", "dense_token_nll", "token_kl", "agrees"):
        # Compiled loops, which other tests may have loaded here, round otherwise than plain torch.
        np.testing.assert_allclose(getattr(mine, name), getattr(other, name), rtol=1e-4, atol=1e-6)
    assert other.perplexity == pytest.approx(mine.perplexity, rel=1e-6)
    assert other.to_json().keys() == mine.to_json().keys()


def test_an_analysis_and_a_ranking_of_it(apart, here):
    study = Analyze(SAMPLE, ("bucket", "knn", "cosine"))
    mine, other = (result_of(one.ask(study, "a")) for one in (here, apart))
    assert other.sites.equals(mine.sites)
    assert other.blocks.equals(mine.blocks)
    by_knn = Rank(SAMPLE, RankingOptions("entrodrop", "knn", "attn", 4))
    assert result_of(apart.ask(by_knn, "a")).order == result_of(here.ask(by_knn, "a")).order


def test_a_continuation_and_the_words_of_its_tokens(apart, here):
    study = generation_of(SAMPLE, "The capital of France is", "attn.10", 5)
    mine, other = (result_of(one.ask(study, "a")) for one in (here, apart))
    assert other.token_ids == mine.token_ids
    spelled = [result_of(one.spell(MODEL, [mine.token_ids], "a")) for one in (here, apart)]
    assert spelled[0] == spelled[1]
    assert apart.spell(MODEL, [mine.token_ids], "b").finished


@pytest.mark.exhaustive
def test_speeds_and_plans_are_timed_there(apart):
    speed = result_of(apart.speed(SAMPLE, PruneSet.parse("layer.3,layer.4"), "float32", "a"))
    assert 0.2 < speed.times < 5
    assert result_of(apart.plan(SAMPLE, "attn", "a")).seconds_pairs > 0


def test_partial_results_come_window_by_window(apart):
    job = apart.ask(evaluation(TextSample(MODEL, TEXT * 30, windows=3, window_length=260), "attn.3"), "a")
    sizes = []
    while not job.wait(0.001):
        view = job.snapshot()
        if view.partial is not None:
            sizes.append(view.partial.windows)
        assert view.done <= view.total
    assert result_of(job).windows == 3
    assert {1, 2} <= set(sizes)
    assert sizes == sorted(sizes)


def test_a_result_is_kept_in_the_servers_store(apart):
    first = result_of(apart.ask(evaluation(SAMPLE, "mlp.4"), "a"))
    again = apart.ask(evaluation(SAMPLE, "mlp.4"), "b")
    assert again.finished
    assert again.result is first, "it is sent once"
    other = TextSample(MODEL, TEXT + "And so on.", 2, 40)  # the same tokens, which only the model can tell
    assert result_of(apart.ask(evaluation(other, "mlp.4"), "b")) is first
    (run,) = (run for run in apart.store.runs(kind="evaluation") if run.options["drop"] == "mlp.4")
    assert apart.store.text(run.key) == TEXT


def test_a_model_is_loaded_once_and_known_to_be_there(apart):
    assert result_of(apart.prepare(MODEL, "a")) is None
    assert apart.engine.holds(MODEL)
    assert apart.prepare(MODEL, "a").finished
    assert not apart.engine.holds("smollm2-360m")


@pytest.mark.exhaustive
def test_hidden_states_are_freed_when_the_server_is_idle(apart):
    """They are the child's, and are most of what it holds besides models."""
    long = TextSample(MODEL, TEXT * 40, windows=16, window_length=256)
    result_of(apart.ask(evaluation(long, "attn.29"), "a"))
    child = psutil.Process(apart.engine.pid)
    before = child.memory_info().rss
    apart._give_back()
    end = time.monotonic() + 30
    while child.memory_info().rss > before - 50e6:
        assert time.monotonic() < end, "nothing was freed"
        time.sleep(0.05)
    assert apart.engine.holds(MODEL)


def test_errors_are_those_of_this_process(apart, here, tmp_path):
    elsewhere = TextSample(str(tmp_path), TEXT, 2, 40)
    for study, kind in (evaluation(SAMPLE, "attn.77"), BlockError), (evaluation(elsewhere), ModelError):
        jobs = [one.ask(study, "a") for one in (here, apart)]
        assert all(job.wait(60) for job in jobs)
        assert type(jobs[1].error) is type(jobs[0].error) is kind
        assert str(jobs[1].error) == str(jobs[0].error)


def test_what_is_not_plain_data_is_an_error_and_no_more(apart):
    job = ask(apart, Returns())
    assert job.wait(60)
    assert type(job.error) is EntvizError
    assert "inside entviz" in str(job.error)
    assert apart.engine.pid not in (None, os.getpid())
    assert result_of(apart.ask(evaluation(SAMPLE, "mlp.4"), "a")).windows == 2
