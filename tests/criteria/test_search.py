"""The search: as good as trying everything where that can be done, never worse than its seeds, stoppable."""

from itertools import combinations

import numpy as np
import pytest
import torch

from entviz.blocks import Block, PruneSet, all_blocks
from entviz.criteria import rank
from entviz.criteria.cost_model import CostModel
from entviz.criteria.greedy import greedy
from entviz.criteria.prune_set_search import search
from entviz.criteria.search_result import SearchResult
from entviz.errors import Cancelled
from entviz.evaluation.loss import evaluate
from entviz.models.loaded import LoadedModel
from entviz.text.windows import windows_from_token_ids
from tests.tiny import VOCABULARY_SIZE, build

LAYERS = 6
PLENTY = 120.0  # seconds; the search ends by itself long before


@pytest.fixture(scope="module")
def tiny():
    return LoadedModel.of(build("llama", layers=LAYERS, seed=3), None, "tiny")


@pytest.fixture(scope="module")
def windows():
    ids = torch.randint(3, VOCABULARY_SIZE, (5, 32), generator=torch.Generator().manual_seed(4))
    return windows_from_token_ids(ids.tolist(), VOCABULARY_SIZE)


@pytest.fixture
def cost_model(tiny, windows):
    return CostModel(tiny, windows)


def attentions(count):
    return lambda drop: len(drop.attention) >= count


@pytest.mark.parametrize("level", ["attn", "mlp", "layer"])
def test_it_finds_the_best_of_all_sets(cost_model, level):
    blocks = all_blocks(LAYERS, [level])
    every = [PruneSet(pair) for pair in combinations(blocks, 2)]
    costs = cost_model.costs(every, cost_model.window_count).mean(axis=1)
    found = search(cost_model, blocks, lambda drop: len(list(drop)) >= 2, seconds=PLENTY)
    assert found.drop == every[int(costs.argmin())]
    assert found.cost == pytest.approx(costs.min())


@pytest.mark.parametrize("budget", [1, 2, 3, 4])
def test_it_costs_no_more_than_greedy_or_any_seed(cost_model, budget):
    blocks = all_blocks(LAYERS, ["attn"])
    seeds = [PruneSet(blocks[:budget]), PruneSet(blocks[-budget:]), PruneSet(blocks[1 : budget + 1])]
    found = search(cost_model, blocks, attentions(budget), seeds=seeds, seconds=PLENTY)
    _, costs = greedy(cost_model, blocks, budget)
    assert len(found.drop.attention) == budget
    assert found.cost <= costs[-1] + 1e-9
    assert found.cost <= cost_model.costs(seeds, cost_model.window_count).mean(axis=1).min() + 1e-9


def test_its_cost_is_the_divergence_that_evaluating_gives(tiny, windows, cost_model):
    found = search(cost_model, all_blocks(LAYERS, ["mlp"]), lambda drop: len(drop.mlp) >= 2, seconds=PLENTY)
    assert found.cost == pytest.approx(evaluate(tiny, windows, found.drop).kl, abs=1e-6)
    assert found.evaluated == cost_model.tried.evaluated > 0
    assert 0 < found.seconds < PLENTY


def test_races_in_bfloat16_end_in_exact_finals(tiny, windows, cost_model):
    fast = CostModel(tiny, windows, dtype="bfloat16")
    found = search(fast, all_blocks(LAYERS, ["attn"]), attentions(2), seconds=PLENTY, exact=cost_model)
    assert found.cost == pytest.approx(evaluate(tiny, windows, found.drop).kl, abs=1e-6)
    assert found.evaluated == fast.tried.evaluated + cost_model.tried.evaluated


def test_without_time_it_answers_with_the_best_seed(cost_model):
    blocks = all_blocks(LAYERS, ["attn"])
    seeds = [PruneSet([blocks[place], blocks[place + 1]]) for place in range(4)]
    costs = cost_model.costs(seeds, cost_model.window_count).mean(axis=1)
    found = search(cost_model, blocks, attentions(2), seeds=seeds, seconds=0.0)
    assert found.drop == seeds[int(costs.argmin())]
    assert found.stage == "seeds"


def test_little_time_ends_races_on_fewer_windows_but_finishes_a_set(tiny, monkeypatch):
    """On a machine a thousand times slower the greedy stage is still done; a clock that counts evaluations says so."""
    ids = torch.randint(3, VOCABULARY_SIZE, (32, 16), generator=torch.Generator().manual_seed(5))
    cost_model = CostModel(tiny, windows_from_token_ids(ids.tolist(), VOCABULARY_SIZE))
    monkeypatch.setattr(
        "entviz.criteria.prune_set_search.time.perf_counter", lambda: float(cost_model.tried.evaluated)
    )
    poor = PruneSet.parse("attn.0,attn.1,attn.2")
    found = search(cost_model, all_blocks(LAYERS, ["attn"]), attentions(3), seeds=[poor], seconds=400.0)
    assert found.drop != poor
    assert found.stage in ("greedy", "swaps", "beam")


def test_every_report_after_the_seeds_carries_a_set_that_is_enough(cost_model):
    reports = []

    def report(done, total, partial=None):
        assert done <= total
        reports.append(partial)

    search(cost_model, all_blocks(LAYERS, ["attn"]), attentions(2), seconds=PLENTY, progress=report)
    found = [partial for partial in reports if partial is not None]
    assert found
    assert all(isinstance(partial, SearchResult) and len(partial.drop.attention) >= 2 for partial in found)


def test_it_can_be_stopped_and_what_it_had_found_stands(tiny, windows):
    latest = []

    def stop(done, total, partial=None):
        if partial is not None:
            latest.append(partial)
        if len(latest) > 20:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        rank(tiny, windows, "search", level="attn", budget=2, seconds=PLENTY, progress=stop)
    assert len(latest[-1].drop.attention) == 2


def test_it_mixes_sizes_where_the_budget_is_a_share(tiny, windows):
    found = rank(tiny, windows, "search", level="attn+mlp", budget="15%", seconds=PLENTY)
    gone = tiny.anatomy.parameters(found.drop).values()
    assert sum(weight.numel() for weight in gone) >= 0.15 * tiny.parameters
    by_greed = rank(tiny, windows, "sleb", level="attn+mlp", budget="15%")
    costs = CostModel(tiny, windows, by="both").costs([found.drop, by_greed.drop], len(windows)).mean(axis=1)
    assert costs[0] <= costs[1] + 1e-6


def test_no_block_is_left_to_nothing(tiny, windows):
    """All layers but one: the search leaves something of the model."""
    found = rank(tiny, windows, "search", level="layer", budget=LAYERS - 1, seconds=PLENTY)
    kept = [i for i in range(LAYERS) if Block("layer", i) not in found.drop]
    assert len(kept) == 1
    assert np.isfinite(evaluate(tiny, windows, found.drop).nll)


def test_a_search_goes_on_from_what_one_for_a_smaller_budget_ran(tiny, windows):
    alone, together = {}, {}
    found = rank(tiny, windows, "search", level="attn", budget=3, seconds=PLENTY, tried=alone)
    rank(tiny, windows, "search", level="attn", budget=2, seconds=PLENTY, tried=together)
    before = _evaluated(together)
    after = rank(tiny, windows, "search", level="attn", budget=3, seconds=PLENTY, tried=together)
    assert before > 0
    assert _evaluated(together) - before < _evaluated(alone)
    assert after.drop == found.drop  # so few sets that both have looked at all that matter


def test_criteria_that_try_do_not_run_what_another_has_run(tiny, windows):
    tried = {}
    for criterion in ("leave-one-out", "sleb", "finercut"):
        rank(tiny, windows, criterion, level="attn", budget=1, tried=tried)
        assert _evaluated(tried) == LAYERS * len(windows)
    apart = rank(tiny, windows, "finercut", level="attn", budget=2)
    assert rank(tiny, windows, "finercut", level="attn", budget=2, tried=tried).drop == apart.drop


def _evaluated(tried):
    return sum(one.evaluated for one in tried.values())
