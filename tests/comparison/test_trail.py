"""The prune sets that were tried: bounded, the best marked by the definition, two of them compared token by token."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entviz.blocks import PruneSet
from entviz.comparison.trail import MOST_STEPS, MOST_STOPS, Stop, Trail, difference
from entviz.evaluation.loss import evaluate
from entviz.statistics import Interval
from tests.comparison.windows import random_windows

NONE = Interval(0.0, -1.0, 1.0)


def stop(drop, perplexity=30.0, kept=0.9, basis="news"):
    return Stop(PruneSet.parse(drop), basis, perplexity, 25.0, NONE, NONE, 0.8, 100, kept)


def trail_of(*drops, basis="news"):
    trail = Trail()
    for drop in drops:
        trail = trail.visited(stop(drop, basis=basis))
    return trail


def test_each_prune_set_is_one_stop_however_often_it_was_visited():
    trail = trail_of("", "attn.1", "attn.1,mlp.2", "attn.1", "")
    assert [str(one.drop) for one in trail.stops] == ["", "attn.1", "attn.1,mlp.2"]
    assert trail.steps == (1, 2, 3, 2, 1)
    assert trail.now is trail.stops[0]
    assert trail.visited(stop("")) is trail, "to stay is no step"


def test_stops_of_another_basis_are_kept_apart():
    trail = trail_of("", "attn.1").visited(stop("attn.1", 60.0, basis="law")).visited(stop("attn.1"))
    assert len(trail.stops) == 3
    assert list(trail.table("news")["number"]) == [1, 2]
    assert list(trail.table("law")["number"]) == [3]
    assert trail.of("news").steps == (1, 2, 2)
    assert trail.table("nothing").empty
    assert list(trail.table("nothing").columns) == list(trail.table("news").columns)


def test_a_long_visit_forgets_its_first_stops_and_steps():
    trail = trail_of(*(f"attn.{i}" for i in range(MOST_STOPS + 30)))
    assert len(trail.stops) == MOST_STOPS
    assert trail.stops[0].number == 31
    assert trail.find(30) is None
    assert min(trail.steps) == 31
    for number in range(2 * MOST_STEPS):
        trail = trail.visited(trail.stops[number % 2])
    assert len(trail.steps) == MOST_STEPS


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=12))
def test_the_best_are_those_that_no_other_beats(points):
    trail = Trail()
    for number, (perplexity, kept) in enumerate(points):
        trail = trail.visited(stop(f"attn.{number}", float(perplexity), kept / 10))
    best = list(trail.table("news")["best"])
    for (perplexity, kept), found in zip(points, best, strict=True):
        beaten = any(p <= perplexity and k <= kept and (p < perplexity or k < kept) for p, k in points)
        assert found == (not beaten)


@pytest.fixture(scope="module")
def evaluations(tiny):
    windows = random_windows(4, seed=5)
    return [evaluate(tiny, windows, PruneSet.parse(drop)) for drop in ("attn.1,mlp.2", "attn.1,attn.3")]


def test_a_stop_has_the_numbers_of_its_evaluation(evaluations):
    first, _ = evaluations
    found = Stop.of(first, "news")
    assert (found.perplexity, found.dense_perplexity) == (first.perplexity, first.dense_perplexity)
    assert found.parameters_kept == first.parameters_pruned / first.parameters_dense
    row = Trail().visited(found).table("news").iloc[0]
    assert (row["drop"], row["blocks"]) == ("attn.1,mlp.2", 2)
    assert (row["kl"], row["kl_low"]) == (first.kl_interval.mean, first.kl_interval.low)
    assert row["top1_agreement"] == first.top1_agreement


def test_two_prune_sets_differ_by_what_their_tokens_do(evaluations):
    first, second = evaluations
    found = difference(first, second)
    apart = second.token_nll - first.token_nll
    assert found.loss.mean == pytest.approx(apart.mean())
    assert found.loss.low < apart.mean() < found.loss.high
    assert found.kl.mean == pytest.approx((second.token_kl - first.token_kl).mean())
    assert found.perplexity == (first.perplexity, second.perplexity)
    assert (str(found.only_first), str(found.only_second)) == ("mlp.2", "attn.3")
    assert found.parameters == second.parameters_pruned - first.parameters_pruned
    # Paired, it is surer than two independent means would be where both lose at the same tokens.
    same = difference(first, first)
    assert (same.loss.low, same.loss.high) == (0, 0)


def test_evaluations_of_other_tokens_have_no_difference(evaluations):
    first, second = evaluations
    with pytest.raises(ValueError, match="same tokens"):
        difference(first, dataclasses.replace(second, token_ids=np.flip(second.token_ids, 0)))
    with pytest.raises(ValueError, match="number type"):
        difference(first, dataclasses.replace(second, dtype="bfloat16"))


def test_a_repaired_prune_set_is_a_stop_of_its_own_for_each_repair():
    plain = stop("attn.1")
    bias, refit = (
        dataclasses.replace(plain, perplexity=perplexity, repair=name, repaired_by=(("repair", name),))
        for name, perplexity in (("bias", 28.0), ("refit", 27.0))
    )
    trail = Trail()
    for one in (plain, bias, refit, bias):
        trail = trail.visited(one)
    assert trail.steps == (1, 2, 3, 2)
    assert trail.known(plain).number == 1
    assert trail.known(dataclasses.replace(bias, repaired_by=(("repair", "bias"), ("text", "other")))) is None
    table = trail.table("news").set_index("number")
    assert table["repair"].to_dict() == {1: "", 2: "bias", 3: "refit"}
    assert table["best"].to_dict() == {1: False, 2: False, 3: True}
