"""Losses, divergences and agreement against a brute-force computation from all logits."""

import numpy as np
import pytest
import torch
from torch import nn

from entviz import kernels
from entviz.blocks import PruneSet, all_blocks
from entviz.decoder.states import StateCache
from entviz.errors import BlockError, Cancelled
from entviz.evaluation import scoring
from entviz.evaluation.loss import evaluate
from entviz.evaluation.many import evaluate_many
from entviz.models import LoadedModel
from entviz.text.windows import Windows, windows_from_token_ids
from tests.altered import without
from tests.tiny import OPTIONS, VOCABULARY_SIZE, build

DROP = PruneSet.parse("attn.0,mlp.2,layer.3")


def text(count: int, length: int = 24, seed: int = 0) -> Windows:
    ids = torch.randint(3, VOCABULARY_SIZE, (count, length), generator=torch.Generator().manual_seed(seed))
    return windows_from_token_ids(ids.tolist(), VOCABULARY_SIZE)


def log_probabilities(model: nn.Module, windows: Windows) -> torch.Tensor:
    with torch.inference_mode():
        return model(input_ids=windows.token_ids, use_cache=False).logits[:, :-1].double().log_softmax(-1)


@pytest.mark.parametrize("architecture", OPTIONS)
@pytest.mark.parametrize("tile", [None, 7], ids=["one tile", "many tiles"])
@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "torch"])
def test_every_number_is_that_of_all_logits(architecture, tile, compiled, monkeypatch):
    if tile is not None:  # 16 positions at a time, the fewest, and 7 tokens of the vocabulary
        monkeypatch.setattr(scoring, "_TILE_BYTES_ON_CPU", 1)
        monkeypatch.setattr(scoring, "_SMALLEST_TILE", tile)
    if compiled:
        assert kernels.load() is not None
    else:
        monkeypatch.setattr(kernels, "apply_to_logits", lambda logits: False)
    loaded, windows = LoadedModel.of(build(architecture)), text(3)
    dense = log_probabilities(loaded.model, windows)
    pruned = log_probabilities(without(loaded.model, DROP), windows)
    targets = windows.token_ids[:, 1:, None]
    found = evaluate(loaded, windows, DROP)
    close = {"rtol": 2e-5, "atol": 1e-4}  # single positions; the means below are closer
    np.testing.assert_allclose(found.token_nll, -pruned.gather(-1, targets)[..., 0], **close)
    np.testing.assert_allclose(found.dense_token_nll, -dense.gather(-1, targets)[..., 0], **close)
    kl = (dense.exp() * (dense - pruned)).sum(-1)
    np.testing.assert_allclose(found.token_kl, kl, **close)
    assert np.array_equal(found.agrees, dense.argmax(-1) == pruned.argmax(-1))
    assert found.kl == pytest.approx(kl.mean().item(), rel=1e-5)
    assert found.kl > 0.01
    assert 0 < found.top1_agreement < 1
    assert found.perplexity == pytest.approx(np.exp(found.token_nll.mean()))


def test_tiny_divergences_are_not_lost_in_rounding():
    """A block that does next to nothing costs next to nothing, and never less than nothing."""
    loaded = LoadedModel.of(build("llama"))
    for weight in loaded.model.model.layers[2].mlp.down_proj.parameters():
        weight.mul_(1e-3)
    windows = text(4)
    found = evaluate(loaded, windows, PruneSet.parse("mlp.2"))
    double = build("llama").double()
    for weight in double.model.layers[2].mlp.down_proj.parameters():
        weight.mul_(1e-3)
    dense = log_probabilities(double, windows)
    pruned = log_probabilities(without(double, PruneSet.parse("mlp.2")), windows)
    wanted = (dense.exp() * (dense - pruned)).sum(-1)
    assert found.token_kl.min() >= 0
    assert found.kl == pytest.approx(wanted.mean().item(), rel=0.05, abs=2e-6)


def test_losses_are_summed_in_double_precision():
    found = evaluate(LoadedModel.of(build("llama")), text(2), DROP)
    assert found.token_nll.dtype == found.dense_token_nll.dtype == found.token_kl.dtype == np.float64


def test_intervals_are_of_token_by_token_differences():
    found = evaluate(LoadedModel.of(build("llama")), text(4), DROP)
    cosines = [np.cos(np.pi * k * (np.arange(23) + 0.5) / 23) * np.sqrt(2) for k in (1, 2)]
    for values, error in (
        (found.token_nll, found.nll_standard_error),
        (found.token_kl, found.kl_standard_error),
        (
            found.token_nll - found.dense_token_nll,
            found.nll_increase.reach / 2.200985,
        ),  # Student's t, 11 degrees
    ):
        averages = [(values * weights).mean(axis=1) for weights in (np.ones(23), *cosines)]
        averages[0] = averages[0] - averages[0].mean()
        assert error == pytest.approx(np.sqrt((np.array(averages) ** 2).sum() / 11 / 4), rel=1e-5)
    assert found.nll_increase.mean == pytest.approx(found.nll - found.dense_nll)
    assert found.kl_interval.mean == pytest.approx(found.kl)
    assert found.to_json()["nll_increase"]["low"] == found.nll_increase.low


# --- every way to the same numbers -----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["llama", "gpt_neox", "gemma3_text", "mixtral"])
def tiny(request) -> LoadedModel:
    return LoadedModel.of(build(request.param, 5))


def test_many_at_once_give_the_numbers_of_each(tiny):
    windows = text(3)
    drops = [PruneSet([block]) for block in all_blocks(5)]
    drops += [PruneSet(), DROP, DROP, PruneSet.parse("layer.0,layer.4"), PruneSet.parse("attn.4")]
    found = evaluate_many(tiny, windows, drops)
    assert [cost.drop for cost in found] == drops
    for cost in found:
        single = evaluate(tiny, windows, cost.drop)
        assert cost.window_nll == pytest.approx(single.token_nll.mean(axis=1), abs=1e-5)
        assert cost.window_kl == pytest.approx(single.token_kl.mean(axis=1), abs=1e-5)
        assert cost.window_agreement == pytest.approx(single.agrees.mean(axis=1), abs=1e-9)
        assert cost.perplexity == pytest.approx(single.perplexity, rel=1e-5)


def test_starting_from_kept_states_gives_the_same_numbers_whatever_was_ticked_before(tiny):
    windows, cache = text(3), StateCache(10**8)
    session = [
        *("layer.3", "layer.3,attn.1", "layer.3", "attn.1", "", "attn.1,mlp.4", "layer.0"),
        *("layer.0,layer.4", "layer.0", "mlp.0", "attn.0,mlp.0", "attn.4", "layer.1,layer.2,layer.3"),
    ]
    for drop in map(PruneSet.parse, session):
        kept = evaluate(tiny, windows, drop, cache=cache)
        fresh = evaluate(tiny, windows, drop)
        assert np.array_equal(kept.token_nll, fresh.token_nll), drop
        assert np.array_equal(kept.token_kl, fresh.token_kl), drop
        assert np.array_equal(kept.agrees, fresh.agrees), drop
    many = evaluate_many(tiny, windows, [PruneSet.parse(drop) for drop in session], cache=cache)
    for cost in many:
        assert cost.nll == pytest.approx(evaluate(tiny, windows, cost.drop, cache=cache).nll, abs=1e-6)


def test_states_of_one_text_model_or_type_are_never_taken_for_another():
    cache, drop = StateCache(10**8), PruneSet.parse("attn.2")
    cases = [
        (LoadedModel.of(build("llama", seed=seed)), text(2, seed=words), dtype)
        for seed in (0, 1)
        for words in (0, 1)
        for dtype in ("float32", "bfloat16")
    ]
    for _ in range(2):
        for loaded, windows, dtype in cases:
            kept = evaluate(loaded, windows, drop, dtype=dtype, cache=cache)
            fresh = evaluate(loaded, windows, drop, dtype=dtype)
            assert np.array_equal(kept.token_nll, fresh.token_nll)


def test_only_what_changed_is_computed():
    loaded, windows, cache = LoadedModel.of(build("llama", 6)), text(1), StateCache(10**8)
    evaluate(loaded, windows, PruneSet(), cache=cache)
    runs: list[int] = []
    for i, layer in enumerate(loaded.model.model.layers):
        layer.self_attn.o_proj.register_forward_hook(lambda *_, i=i: runs.append(i))

    def computed(drop: str) -> list[int]:
        runs.clear()
        evaluate(loaded, windows, PruneSet.parse(drop), cache=cache)
        return list(runs)

    assert computed("layer.3") == [4, 5]
    assert computed("mlp.3") == [3, 4, 5]
    assert computed("layer.3,attn.5") == []
    assert computed("layer.3") == []  # unticked again
    assert computed("") == []
    assert computed("layer.1,layer.3") == [2, 4, 5]


def test_a_cancelled_evaluation_leaves_nothing_wrong_behind(tiny):
    windows, cache, drop = text(3), StateCache(10**8), PruneSet.parse("attn.1,layer.3")
    fresh = evaluate(tiny, windows, drop)
    for stop in range(1, 9):
        calls = 0

        def progress(*_, stop=stop):
            nonlocal calls
            calls += 1
            if calls == stop:
                raise Cancelled("stop")

        with pytest.raises(Cancelled):
            evaluate(tiny, windows, drop, cache=cache, progress=progress)
        assert np.array_equal(evaluate(tiny, windows, drop, cache=cache).token_nll, fresh.token_nll)
        cache.clear()


def test_partial_results_are_those_of_the_first_windows(tiny):
    windows = text(60)  # more than one batch
    partials: list = []
    whole = evaluate(tiny, windows, DROP, progress=lambda done, total, partial=None: partials.append(partial))
    seen = [partial for partial in partials if partial is not None]
    assert len(seen) > 1
    for partial in seen:
        assert partial.windows_total == 60
        assert np.array_equal(partial.token_nll, whole.token_nll[: partial.windows])


def test_bad_prune_sets_are_refused_before_anything_runs(tiny):
    for drop in (PruneSet(all_blocks(5)), PruneSet.parse("attn.5")):
        with pytest.raises(BlockError):
            evaluate(tiny, text(1), drop)
        with pytest.raises(BlockError):
            evaluate_many(tiny, text(1), [PruneSet(), drop])


def test_no_prune_sets_cost_nothing(tiny):
    assert evaluate_many(tiny, text(1), []) == []


def test_leave_one_out_of_the_default_model_is_that_of_plain_evaluations(smollm2):
    ids = torch.tensor([list(range(1000, 1032))])
    windows = windows_from_token_ids(ids.tolist(), 49152)
    drops = [
        PruneSet.parse(name) for name in ("layer.0", "attn.0", "mlp.14", "attn.15", "layer.29", "attn.29")
    ]
    for cost in evaluate_many(smollm2, windows, drops):
        single = evaluate(smollm2, windows, cost.drop)
        assert cost.nll == pytest.approx(single.nll, abs=1e-4)
        assert cost.kl == pytest.approx(single.kl, abs=1e-4)
