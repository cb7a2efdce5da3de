"""Choosing for a repair: against all sets of a tiny model, each fitted and evaluated alone."""

from itertools import combinations

import numpy as np
import pytest
import torch

from entviz.blocks import PruneSet, all_blocks
from entviz.comparison.grid.contenders import contenders, title
from entviz.criteria import rank
from entviz.criteria.repaired_costs import RepairedCosts, halves
from entviz.errors import ModelError, OptionError
from entviz.evaluation.loss import evaluate
from entviz.models.loaded import LoadedModel, fingerprint
from entviz.repair.fitting import fit
from entviz.studies import Rank, RankingOptions, TextSample
from entviz.text.windows import windows_from_token_ids
from tests.tiny import VOCABULARY_SIZE, build

LAYERS = 6
PLENTY = 120.0  # seconds; the search ends by itself long before


def loaded(architecture: str = "llama") -> LoadedModel:
    return LoadedModel.of(build(architecture, layers=LAYERS, seed=3), None, "tiny")


@pytest.fixture(scope="module")
def tiny():
    return loaded()


@pytest.fixture(scope="module")
def windows():
    ids = torch.randint(3, VOCABULARY_SIZE, (10, 32), generator=torch.Generator().manual_seed(4))
    return windows_from_token_ids(ids.tolist(), VOCABULARY_SIZE)


def cost_of(tiny, windows, drop: PruneSet, method: str) -> float:
    """As the search ranks: loss and divergence on every other window, with a repair fitted on those between."""
    found = evaluate(tiny, windows[::2], drop, repair=fit(tiny, windows[1::2], drop, method))
    return found.nll + found.kl


@pytest.mark.parametrize(("method", "level"), [("refit", "mlp"), ("bias", "layer"), ("nbl", "attn")])
def test_it_finds_the_set_that_costs_least_repaired(tiny, windows, method, level):
    before = fingerprint(tiny.model)
    found = rank(tiny, windows, "search", level=level, budget=2, seconds=PLENTY, repair=method)
    every = [PruneSet(two) for two in combinations(all_blocks(LAYERS, [level]), 2)]
    costs = {drop: cost_of(tiny, windows, drop, method) for drop in every}
    # All sets are compared with the repair bias, and the best 16 of them, which are all 15, with the method.
    assert found.drop == min(every, key=costs.__getitem__)
    assert fingerprint(tiny.model) == before
    assert "fitted on 5 of the 10 calibration windows, judged on the other 5" in found.notes[-1]


def test_its_choice_is_another_one_than_without_a_repair():
    """Otherwise it would not be worth its time."""
    model = loaded("gpt2")
    ids = torch.randint(3, VOCABULARY_SIZE, (10, 32), generator=torch.Generator().manual_seed(6))
    windows = windows_from_token_ids(ids.tolist(), VOCABULARY_SIZE)
    plain = rank(model, windows, "search", level="layer", budget=2, seconds=PLENTY)
    mended = rank(model, windows, "search", level="layer", budget=2, seconds=PLENTY, repair="nbl")
    assert plain.drop != mended.drop
    assert cost_of(model, windows, mended.drop, "nbl") < cost_of(model, windows, plain.drop, "nbl")


def test_costs_are_those_of_a_repair_that_was_fitted_on_the_other_windows(tiny, windows):
    judged, fitted = halves(windows)
    assert not set(map(tuple, judged.token_ids.tolist())) & set(map(tuple, fitted.token_ids.tolist()))
    drop = PruneSet.parse("mlp.2,attn.4")
    costs = RepairedCosts(tiny, judged, fitted=fitted, method="refit", by="both").costs([PruneSet(), drop], 3)
    alone = evaluate(tiny, judged[:3], drop, repair=fit(tiny, fitted, drop, "refit"))
    np.testing.assert_allclose(costs[1], alone.token_nll.mean(1) + alone.token_kl.mean(1), rtol=1e-6)
    np.testing.assert_allclose(costs[0], alone.dense_token_nll.mean(1), rtol=1e-6)


def test_without_time_it_answers_with_a_seed_that_was_repaired(tiny, windows):
    found = rank(tiny, windows, "search", level="attn", budget=2, seconds=0.0, repair="refit")
    assert len(found.drop.attention) == 2


def test_a_search_for_a_larger_budget_goes_on_from_a_smaller_one(tiny, windows):
    asked = {"level": "attn", "seconds": PLENTY, "repair": "bias"}
    tried = {}
    rank(tiny, windows, "search", budget=1, tried=tried, **asked)
    before = sum(known.evaluated for known in tried.values())
    together = rank(tiny, windows, "search", budget=2, tried=tried, **asked)
    spent = sum(known.evaluated for known in tried.values()) - before
    alone = {}
    assert rank(tiny, windows, "search", budget=2, tried=alone, **asked).drop == together.drop
    assert spent < sum(known.evaluated for known in alone.values())


def test_what_cannot_be_repaired_says_so_before_the_search(tiny, windows):
    asked = {"level": "attn", "budget": 2, "seconds": PLENTY}
    with pytest.raises(OptionError, match=r"needs at least 4 calibration windows.* there are 3"):
        rank(tiny, windows[:3], "search", repair="refit", **asked)
    with pytest.raises(OptionError, match=r"Half of the calibration windows, 2, .* refit has .* unknowns"):
        rank(tiny, windows[:4], "search", repair="refit", **asked)
    with pytest.raises(OptionError, match="'magic' is not a repair"):
        rank(tiny, windows, "search", repair="magic", **asked)
    with pytest.raises(OptionError, match="random has no option 'repair': it is for"):
        rank(tiny, windows, "random", repair="refit")
    with pytest.raises(ModelError, match="Use bias, nbl or"):
        rank(loaded("olmo2"), windows, "search", repair="refit", **asked)


def test_it_is_a_contender_and_a_study_of_its_own():
    [entry], _ = contenders(["search:repair=refit"], ["attn"], seconds=7.0)
    assert (entry.criterion.repair, entry.criterion.seconds) == ("refit", 7.0)
    assert title("search:repair=refit") == "Search (repaired by refit)"
    assert title("search:repair=nbl") == "Search (repair = nbl)"
    by = RankingOptions("search", "knn", "attn", 2, more=(("repair", "refit"),))
    plain = RankingOptions("search", "knn", "attn", 2, more=(("repair", ""),))
    sample = TextSample("a model", "a text", 2, 16)
    assert Rank(sample, by).options()["repair"] == "refit"
    assert Rank(sample, plain).options() == Rank(sample, RankingOptions("search", "knn", "attn", 2)).options()
