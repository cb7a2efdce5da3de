"""Curves of a pruned model: equal to those of a really pruned copy, and what they may take from the dense analysis."""

from functools import cache

import pytest
import torch

from entviz.analysis import analyze, measuring
from entviz.blocks import PruneSet, site_names
from entviz.decoder.states import StateCache
from entviz.errors import BlockError
from entviz.estimators import cosine_importance, estimator
from entviz.models import LoadedModel
from entviz.text.windows import Windows
from tests.altered import read_sites_without
from tests.models.files import tokenizer
from tests.tiny import OPTIONS, VOCABULARY_SIZE, build

LAYERS = 4
METRICS = ("bucket", "knn(k=3)", "renyi", "cosine")
DROPS = [
    "attn.0",
    "mlp.2",
    "layer.1",
    "attn.1,mlp.3",
    "layer.0,layer.3",
    "layer.2,layer.3",
    "layer.0,attn.1,mlp.3",
]


@cache
def tiny(architecture: str) -> LoadedModel:
    return LoadedModel.of(build(architecture, LAYERS), tokenizer(), architecture)


@pytest.fixture(scope="module")
def windows():
    generator = torch.Generator().manual_seed(5)
    return Windows(torch.randint(3, VOCABULARY_SIZE, (3, 24), generator=generator))


def curve(analysis, metric):
    return analysis.sites[analysis.sites["metric"] == metric].set_index("site")["per_window"]


def bars(analysis, metric):
    return analysis.blocks[analysis.blocks["metric"] == metric].set_index("block")["per_window"]


@pytest.mark.parametrize("drop", DROPS)
@pytest.mark.parametrize("architecture", OPTIONS)
def test_the_curve_is_that_of_a_really_pruned_copy(architecture, drop, windows):
    loaded, drop = tiny(architecture), PruneSet.parse(drop)
    states = read_sites_without(loaded.model, drop, windows.token_ids)
    analysis = analyze(loaded, windows, METRICS, drop=drop)
    for metric, options in (("bucket", {}), ("knn(k=3)", {"k": 3}), ("renyi", {})):
        measured = curve(analysis, metric)
        assert list(measured.index) == site_names(LAYERS)
        for site, values in measured.items():
            wanted = estimator(metric.partition("(")[0], **options)(states[site]).tolist()
            # A state that differs in its last digit may fall into another bucket.
            assert values == pytest.approx(wanted, rel=1e-4, abs=0.2 if metric == "bucket" else 1e-3), (
                metric,
                site,
            )
    for i in range(LAYERS):
        before = states["embed"] if i == 0 else states[f"layer.{i - 1}"]
        for block, (x, y) in {
            f"attn.{i}": (before, states[f"attn.{i}"]),
            f"mlp.{i}": (states[f"attn.{i}"], states[f"layer.{i}"]),
            f"layer.{i}": (before, states[f"layer.{i}"]),
        }.items():
            wanted = cosine_importance(x, y).tolist()
            assert bars(analysis, "cosine")[block] == pytest.approx(wanted, abs=1e-5), block


@pytest.mark.parametrize("drop", DROPS)
def test_a_dropped_block_adds_nothing(drop, windows):
    drop = PruneSet.parse(drop)
    analysis = analyze(tiny("llama"), windows, METRICS, drop=drop)
    for block in drop:
        for metric in METRICS:
            assert set(bars(analysis, metric)[str(block)]) == {0.0}


@pytest.mark.parametrize("levels", [("layer",), ("layer", "attn", "mlp")])
@pytest.mark.parametrize("drop", ["layer.2", "attn.1,mlp.3", "mlp.3"])
def test_what_lies_before_the_first_dropped_block_is_the_dense_models_and_not_measured_again(
    drop, levels, windows, monkeypatch
):
    loaded, drop, states = tiny("llama"), PruneSet.parse(drop), StateCache()
    dense = analyze(loaded, windows, METRICS, levels)
    alone = analyze(loaded, windows, METRICS, levels, drop=drop)
    analyze(loaded, windows, METRICS, levels, drop=drop, dense=dense, cache=states)
    ran = []
    step = type(loaded.anatomy.split_layers[0])

    def watch(name):
        real = getattr(step, name)

        def watched(self, *given, **more):
            ran.append(loaded.anatomy.split_layers.index(self))
            return real(self, *given, **more)

        monkeypatch.setattr(step, name, watched)

    watch("trace")
    watch("run")
    again = analyze(loaded, windows, METRICS, levels, drop=drop, dense=dense, cache=states)
    assert set(ran) == set(range(min(drop.attention | drop.mlp), LAYERS))
    for table in ("sites", "blocks"):
        mine, theirs = getattr(again, table), getattr(alone, table)
        assert list(mine.columns) == list(theirs.columns)
        for column in mine.columns.drop(["value", "per_window"]):
            assert list(mine[column]) == list(theirs[column])
        for some, other in zip(mine["per_window"], theirs["per_window"], strict=True):
            assert some == pytest.approx(other, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("drop", ["layer.2", "attn.1,mlp.3", "attn.3,mlp.3"])
def test_a_dropped_block_adds_exactly_nothing_to_the_dense_models_stream_in_every_batch(
    drop, windows, monkeypatch
):
    monkeypatch.setattr(measuring, "windows_per_batch", lambda anatomy, length: 2)
    loaded, drop = tiny("llama"), PruneSet.parse(drop)
    dense = analyze(loaded, windows, METRICS)
    found = analyze(loaded, windows, METRICS, drop=drop, dense=dense)
    alone = analyze(loaded, windows, METRICS, drop=drop)
    for metric in METRICS:
        for block in drop:
            assert bars(found, metric)[str(block)] == (0.0, 0.0, 0.0)
    for some, other in zip(found.sites["per_window"], alone.sites["per_window"], strict=True):
        assert some == pytest.approx(other, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("levels", [("layer",), ("attn",), ("layer", "attn", "mlp")])
def test_what_two_prune_sets_share_is_taken_from_the_one_measured_before(levels, windows, monkeypatch):
    loaded, states = tiny("llama"), StateCache()
    some, more = PruneSet.parse("layer.1"), PruneSet.parse("layer.1,attn.3,mlp.3")
    before = analyze(loaded, windows, METRICS, levels, drop=some, cache=states)
    alone = analyze(loaded, windows, METRICS, levels, drop=more)
    ran = []
    step = type(loaded.anatomy.split_layers[0])
    for name in ("trace", "run"):
        real = getattr(step, name)

        def watched(self, *given, real=real, **asked):
            ran.append(loaded.anatomy.split_layers.index(self))
            return real(self, *given, **asked)

        monkeypatch.setattr(step, name, watched)
    analyze(loaded, windows, METRICS, levels, drop=more, dense=before, cache=states)
    ran.clear()  # the hidden states before layer 3 are known from now on
    again = analyze(loaded, windows, METRICS, levels, drop=more, dense=before, cache=states)
    assert set(ran) == {3}
    for table in ("sites", "blocks"):
        mine, theirs = getattr(again, table), getattr(alone, table)
        assert mine.drop(columns=["value", "per_window"]).equals(theirs.drop(columns=["value", "per_window"]))
        for measured, wanted in zip(mine["per_window"], theirs["per_window"], strict=True):
            assert measured == pytest.approx(wanted, rel=1e-5, abs=1e-5)


def test_another_texts_dense_analysis_is_not_believed(windows):
    loaded, drop = tiny("llama"), PruneSet.parse("layer.2")
    other = analyze(loaded, windows[:2], METRICS)
    alone = analyze(loaded, windows, METRICS, drop=drop)
    assert analyze(loaded, windows, METRICS, drop=drop, dense=other).to_json() == alone.to_json()


def test_a_block_that_is_not_there_is_said(windows):
    with pytest.raises(BlockError, match=r"layer\.9 does not exist"):
        analyze(tiny("llama"), windows, METRICS, drop=PruneSet.parse("layer.9"))


def test_the_prune_set_is_part_of_the_plain_data(windows):
    found = analyze(tiny("llama"), windows, ("bucket",), drop=PruneSet.parse("attn.1")).to_json()
    assert found["drop"] == "attn.1"
    assert "drop" not in analyze(tiny("llama"), windows, ("bucket",)).to_json()
