"""The runtime gives every session the numbers of the functions that it calls."""

import numpy as np
import pandas as pd
import pytest

from entviz.analysis import analyze
from entviz.blocks import PruneSet
from entviz.criteria import rank, rank_by_analysis
from entviz.evaluation import generation, loss
from entviz.evaluation.tasks import evaluate_task
from entviz.runtime.queue import Worker
from entviz.studies import Analyze, Rank, RankingOptions, TextSample
from entviz.tasks import read_task
from tests.runtime.asking import MODEL, SAMPLE, TEXT, evaluation, generation_of, result_of, scoring


@pytest.mark.parametrize("drop", ["", "attn.7,layer.12"])
def test_an_evaluation_is_what_evaluate_gives(here, smollm2, windows, drop):
    alone = loss.evaluate(smollm2, windows, PruneSet.parse(drop))
    found = result_of(here.ask(evaluation(SAMPLE, drop), "a"))
    np.testing.assert_allclose(found.token_nll, alone.token_nll, atol=1e-6)
    np.testing.assert_allclose(found.token_kl, alone.token_kl, atol=1e-6)
    assert found.perplexity == pytest.approx(alone.perplexity, abs=1e-4)
    assert found.windows == found.windows_total == 2


def test_evaluations_stream_window_by_window(here):
    request = TextSample(MODEL, TEXT * 30, windows=3, window_length=260)
    job = here.ask(evaluation(request, "attn.3"), "a")
    sizes = []
    while not job.wait(0.001):
        view = job.snapshot()
        if view.partial is not None:
            sizes.append(view.partial.windows)
            assert view.partial.nll > 0
        assert view.done <= view.total
    assert result_of(job).windows == 3
    assert {1, 2} <= set(sizes)
    assert sizes == sorted(sizes)


def test_sessions_with_different_prune_sets_at_once_each_get_their_own_numbers(make, smollm2, windows):
    drops = ["", "attn.2", "attn.2,mlp.9", "layer.28,layer.27", "mlp.0"]
    alone = {drop: loss.evaluate(smollm2, windows, PruneSet.parse(drop)).nll for drop in drops}
    # A quantum so short that every job is paused in its middle, and patience for a busy machine.
    here = make(worker=Worker(quantum=0.005, patience=600))
    jobs = {drop: here.ask(evaluation(SAMPLE, drop), f"session {drop}") for drop in drops}
    for drop, job in jobs.items():
        assert result_of(job).nll == pytest.approx(alone[drop], abs=1e-6)
    assert len({round(value, 6) for value in alone.values()}) == len(drops)


def test_rankings_by_criteria_that_try_prune_sets(here, smollm2, windows):
    alone = rank(smollm2, windows, "leave-one-out", level="mlp", budget=3, protect=(22, 0))
    found = result_of(
        here.ask(Rank(SAMPLE, RankingOptions("leave-one-out", "knn", "mlp", 3, protect=(22, 0))), "a")
    )
    assert found.order == alone.order
    assert found.drop == alone.drop
    np.testing.assert_allclose(found.scores["score"], alone.scores["score"], atol=1e-4)
    other = here.ask(Rank(SAMPLE, RankingOptions("leave-one-out", "bucket", "mlp", 5, protect=(22, 0))), "b")
    assert other.finished  # at once: neither the budget nor the estimator changes the order
    assert len(other.result.drop) == 5
    last = result_of(here.ask(Rank(SAMPLE, RankingOptions("last", "knn", "attn", "10% parameters")), "a"))
    assert last.drop == rank(smollm2, windows, "last", level="attn", budget="10% parameters").drop


def test_scores_of_tasks(here, smollm2):
    task = read_task("grammar")
    alone = evaluate_task(smollm2, task, PruneSet.parse("attn.7"), limit=4)
    found = result_of(here.ask(scoring(MODEL, "grammar", "attn.7", limit=4), "a"))
    np.testing.assert_allclose(found.log_likelihood, alone.log_likelihood, atol=1e-4)
    assert here.ask(scoring(MODEL, task, "attn.7", limit=4), "b").finished  # the same task, read already


def test_an_analysis_and_rankings_of_it(here, smollm2, windows, runs):
    alone = analyze(smollm2, windows, ("bucket", "knn", "renyi", "cosine"))
    job = here.ask(Analyze(SAMPLE, ("cosine", "knn", "renyi", "bucket", "knn")), "a")
    by_knn = here.ask(Rank(SAMPLE, RankingOptions("entrodrop", "knn", "attn", 4)), "a")
    by_cosine = here.ask(Rank(SAMPLE, RankingOptions("cosine", "knn", "layer", 3, protect=(1, 1))), "b")
    found = result_of(job)
    same = ["site", "metric", "depth"]
    pd.testing.assert_frame_equal(found.sites[same], alone.sites[same])
    np.testing.assert_allclose(found.sites["value"], alone.sites["value"], rtol=1e-6)
    expected = rank_by_analysis(alone, "entrodrop", estimator="knn", level="attn", budget=4)
    assert result_of(by_knn).order == expected.order
    expected = rank_by_analysis(alone, "cosine", level="layer", budget=3, protect=(1, 1))
    assert result_of(by_cosine).drop == expected.drop
    assert runs["analyze"] == 1, "the analysis and both rankings are one computation"
    too_many = here.ask(Rank(SAMPLE, RankingOptions("entrodrop", "knn", "attn", 400)), "a")
    assert too_many.wait(10)
    assert "budget" in str(too_many.error)


def test_dense_and_pruned_continuations_side_by_side(here, smollm2):
    prompt = "The capital of France is"
    dense = here.ask(generation_of(SAMPLE, prompt, "", 5), "a")
    pruned = here.ask(generation_of(SAMPLE, prompt, "attn.10,attn.11", 5), "a")
    for job, drop in (dense, ""), (pruned, "attn.10,attn.11"):
        alone = generation.generate(smollm2, prompt, PruneSet.parse(drop), max_new_tokens=5)
        assert result_of(job).token_ids == alone.token_ids
        assert job.snapshot().partial is job.result
