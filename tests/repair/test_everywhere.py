"""Curves, continuations and accuracies of a repaired model: those of a copy that is really pruned and repaired."""

from functools import cache

import pytest
import torch

from entviz.analysis import analyze
from entviz.blocks import PruneSet, site_names
from entviz.decoder.states import StateCache
from entviz.errors import OptionError
from entviz.estimators import cosine_importance, estimator
from entviz.evaluation.generation import generate
from entviz.evaluation.loss import evaluate
from entviz.evaluation.speed import reading_seconds, timed
from entviz.evaluation.tasks import evaluate_task
from entviz.models import LoadedModel
from entviz.repair.fitting import fit
from entviz.tasks import Item, Task
from entviz.text.windows import windows_from_token_ids
from tests.altered import losses, read_sites
from tests.models.files import tokenizer
from tests.repaired import greedy, repaired_copy, through_gap
from tests.tiny import VOCABULARY_SIZE, build

DROP = PruneSet.parse("layer.1,mlp.2")
CASES = [
    *(("llama", method) for method in ("refit", "bias", "nbl", "ghosted", "prune-comp")),
    *((architecture, "refit") for architecture in ("gpt2", "opt", "bloom")),
    *(("gpt_neox", method) for method in ("refit", "bias", "nbl", "ghosted")),
    ("gemma3_text", "nbl"),
    ("gemma3_text", "bias"),
    ("opt", "nbl"),
]
every_case = pytest.mark.parametrize(("architecture", "method"), CASES)


def text(windows=24, length=32, seed=1):
    ids = torch.randint(3, VOCABULARY_SIZE, (windows, length), generator=torch.Generator().manual_seed(seed))
    return windows_from_token_ids(ids.tolist(), VOCABULARY_SIZE)


@cache
def case(architecture, method):
    loaded = LoadedModel.of(build(architecture), tokenizer(), architecture)
    repair = fit(loaded, text(), DROP, method)
    return loaded, repair, repaired_copy(loaded.model, DROP, repair)


def same(some, other):
    for table in ("sites", "blocks"):
        for mine, theirs in zip(
            getattr(some, table)["per_window"], getattr(other, table)["per_window"], strict=True
        ):
            assert mine == pytest.approx(theirs, rel=1e-5, abs=1e-5)


@every_case
def test_the_copies_of_this_file_are_what_an_evaluation_measures(architecture, method):
    loaded, repair, copy = case(architecture, method)
    found = evaluate(loaded, text(3, seed=2), DROP, repair=repair)
    assert found.per_window_nll == pytest.approx(losses(copy, text(3, seed=2).token_ids).tolist(), abs=1e-4)
    assert found.nll != pytest.approx(evaluate(loaded, text(3, seed=2), DROP).nll, abs=1e-4)


@every_case
def test_the_curve_is_that_of_a_repaired_copy(architecture, method):
    loaded, repair, copy = case(architecture, method)
    windows = text(3, seed=2)
    states = read_sites(copy, windows.token_ids)
    for i in (2, 1):  # layers 1 and 2 of the copy are 2 and 3 of the model
        states[f"attn.{i + 1}"], states[f"layer.{i + 1}"] = states.pop(f"attn.{i}"), states.pop(f"layer.{i}")
    states["attn.1"], states["layer.1"] = through_gap(loaded.model, repair, 1, states["layer.0"])
    analysis = analyze(loaded, windows, ("knn(k=3)", "cosine"), drop=DROP, repair=repair)
    measured = analysis.sites.set_index("site")["per_window"]
    assert list(measured.index) == site_names(4)
    for site, x in states.items():
        assert measured[site] == pytest.approx(estimator("knn", k=3)(x).tolist(), rel=1e-4, abs=1e-3), site
    bars = analysis.blocks[analysis.blocks["metric"] == "cosine"].set_index("block")["per_window"]
    for i in range(1, 4):
        wanted = cosine_importance(states[f"layer.{i - 1}"], states[f"layer.{i}"]).tolist()
        assert bars[f"layer.{i}"] == pytest.approx(wanted, abs=1e-5)
    assert analysis.repair == analysis.to_json()["repair"] == method
    assert f"Repaired by {method}, fitted on 768 tokens: other text." in analysis.notes


@pytest.mark.parametrize(("architecture", "method"), CASES[:4])
@pytest.mark.parametrize("levels", [("layer",), ("layer", "attn", "mlp")])
def test_what_is_known_of_the_dense_stream_is_taken_from_it_only_up_to_the_first_change(
    architecture, method, levels
):
    """A refitted block lies before the first dropped one."""
    loaded, repair, _ = case(architecture, method)
    windows, states = text(3, seed=2), StateCache()
    dense = analyze(loaded, windows, ("knn(k=3)", "cosine"), levels)
    alone = analyze(loaded, windows, ("knn(k=3)", "cosine"), levels, drop=DROP, repair=repair)
    for _ in range(2):
        found = analyze(
            loaded,
            windows,
            ("knn(k=3)", "cosine"),
            levels,
            drop=DROP,
            repair=repair,
            dense=dense,
            cache=states,
        )
        same(found, alone)
        plain = analyze(loaded, windows, ("knn(k=3)", "cosine"), levels, drop=DROP, dense=found, cache=states)
        same(plain, analyze(loaded, windows, ("knn(k=3)", "cosine"), levels, drop=DROP))


@every_case
@pytest.mark.parametrize("use_cache", [True, False], ids=["cached", "uncached"])
def test_continuations_are_those_of_a_repaired_copy(architecture, method, use_cache):
    loaded, repair, copy = case(architecture, method)
    found = generate(loaded, "ab, so", DROP, max_new_tokens=12, use_cache=use_cache, repair=repair)
    wanted = greedy(copy, found.token_ids[: found.prompt_tokens], 12)
    assert found.token_ids == wanted[: len(found.token_ids)]
    assert found.new_tokens == 12 or found.token_ids[-1] == loaded.tokenizer.eos_token_id
    assert found.to_json()["repair"] == method
    again = timed(loaded, found, repair=repair, use_cache=use_cache)
    assert again.reading is not None


@pytest.mark.parametrize("method", ["refit", "bias", "nbl"])
@pytest.mark.parametrize("architecture", ["llama", "gpt_neox", "falcon"])
def test_a_cache_without_the_first_attention_changes_no_token(architecture, method):
    loaded, drop = case(architecture, "bias")[0], PruneSet.parse("attn.0,layer.2")
    repair = fit(loaded, text(), drop, method)
    cached, not_cached = (
        generate(loaded, "so ab", drop, max_new_tokens=12, use_cache=use_cache, repair=repair)
        for use_cache in (True, False)
    )
    assert cached.token_ids == not_cached.token_ids


@every_case
def test_likelihoods_of_choices_are_those_of_a_repaired_copy(architecture, method):
    loaded, repair, copy = case(architecture, method)
    items = (Item.ask("The sky is", ["blue", "b", "a b"], 0), Item.ask("Answer:", ["A", "B"], 0))
    found = evaluate_task(loaded, Task("two", items), DROP, repair=repair)
    for number, item in enumerate(items):
        for place, choice in enumerate(item.choices):
            before = loaded.tokenizer(item.contexts[place]).input_ids
            after = loaded.tokenizer(f" {choice}").input_ids
            ids = torch.tensor([before + after])
            with torch.inference_mode():
                log_p = copy(ids, use_cache=False).logits[0, :-1].double().log_softmax(-1)
            wanted = log_p.gather(-1, ids[0, 1:, None])[-len(after) :].sum().item()
            assert found.log_likelihood[number, place] == pytest.approx(wanted, abs=1e-4)
    assert found.to_json()["repair"] == method


def test_a_repair_of_another_prune_set_is_refused_everywhere():
    loaded, repair, _ = case("llama", "bias")
    other, windows = PruneSet.parse("layer.1"), text(2)
    for ask in (
        lambda: analyze(loaded, windows, ("knn(k=3)",), drop=other, repair=repair),
        lambda: generate(loaded, "ab", other, repair=repair),
        lambda: evaluate_task(loaded, Task("one", (Item.ask("a", ["b", "c"], 0),)), other, repair=repair),
        lambda: reading_seconds(loaded, windows, other, repair=repair),
    ):
        with pytest.raises(OptionError, match=r"fitted for the prune set layer\.1,mlp\.2"):
            ask()
