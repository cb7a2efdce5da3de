"""Many prune sets with the repair bias at once, against each one fitted and evaluated alone."""

from itertools import combinations

import numpy as np
import pytest
import torch

from entviz.blocks import PruneSet, all_blocks
from entviz.decoder.states import StateCache
from entviz.evaluation.biases import Biases
from entviz.evaluation.loss import evaluate
from entviz.evaluation.many import evaluate_many
from entviz.models.loaded import LoadedModel, fingerprint
from entviz.repair.fitting import fit
from entviz.text.windows import windows_from_token_ids
from tests.tiny import OPTIONS, VOCABULARY_SIZE, build

LAYERS = 4


def text(windows: int, seed: int):
    ids = torch.randint(1, VOCABULARY_SIZE, (windows, 24), generator=torch.Generator().manual_seed(seed))
    return windows_from_token_ids(ids.tolist(), VOCABULARY_SIZE)


FITTED, MEASURED = text(5, 1), text(3, 2)
DROPS = [
    PruneSet.parse(drop)
    for drop in (
        "attn.0",
        "attn.1",
        "mlp.1",
        "layer.0",
        "layer.2,layer.3",
        "mlp.1,attn.2",  # one hole over the end of a layer
        "mlp.0,layer.1,attn.2",
        "attn.1,attn.3,mlp.2",
        "layer.1,mlp.3",
    )
]


@pytest.mark.parametrize("architecture", OPTIONS)
def test_each_costs_what_it_costs_when_it_is_fitted_alone(architecture):
    loaded = LoadedModel.of(build(architecture, LAYERS))
    before = fingerprint(loaded.model)
    biases = Biases(loaded, FITTED)
    found = evaluate_many(loaded, MEASURED, [PruneSet(), *DROPS], biases=biases, cache=StateCache())
    plain = evaluate_many(loaded, MEASURED, DROPS)
    assert found[0].kl == 0
    for one, unrepaired, drop in zip(found[1:], plain, DROPS, strict=True):
        alone = evaluate(loaded, MEASURED, drop, repair=fit(loaded, FITTED, drop, "bias"))
        np.testing.assert_allclose(one.window_nll, alone.token_nll.mean(1), rtol=2e-5)
        np.testing.assert_allclose(one.window_kl, alone.token_kl.mean(1), rtol=1e-3, atol=1e-6)
        assert not np.allclose(one.window_nll, unrepaired.window_nll, rtol=2e-4)
    assert fingerprint(loaded.model) == before


def test_what_is_found_first_and_what_is_cached_makes_no_difference():
    loaded = LoadedModel.of(build("llama", LAYERS))
    sets = [PruneSet(three) for three in combinations(all_blocks(LAYERS, ["attn", "mlp"]), 3)]
    together = evaluate_many(loaded, MEASURED, sets, biases=Biases(loaded, FITTED), cache=StateCache(0))
    cache, biases = StateCache(), Biases(loaded, FITTED)
    for part in (sets[30:], sets[::7], sets):  # what comes later begins with what came earlier
        evaluate_many(loaded, MEASURED, part, biases=biases, cache=cache)
    again = evaluate_many(loaded, MEASURED, sets, biases=biases, cache=cache)
    other = evaluate_many(loaded, MEASURED, sets, biases=Biases(loaded, FITTED), cache=cache)
    for one, same, third in zip(together, again, other, strict=True):
        np.testing.assert_allclose(one.window_kl, same.window_kl, rtol=1e-4)
        np.testing.assert_allclose(one.window_kl, third.window_kl, rtol=1e-4)


def test_a_known_hole_is_not_run_again(monkeypatch):
    loaded = LoadedModel.of(build("llama", LAYERS))
    biases, cache, ran = Biases(loaded, FITTED), StateCache(), []
    biases.learn(DROPS, cache, lambda: ran.append("layer"))
    assert ran
    ran.clear()
    biases.learn(DROPS[::-1], cache, lambda: ran.append("layer"))
    assert not ran
