"""Analyses without massive tokens: equal to formulas on hidden states whose rows were deleted by hand."""

import math
from functools import cache

import numpy as np
import pytest
import torch

from entviz.analysis import analyze, massive, measuring
from entviz.blocks import KINDS, PruneSet
from entviz.errors import ModelError, OptionError
from entviz.models import LoadedModel
from entviz.text.windows import Windows
from tests.altered import read_sites, without
from tests.models.files import tokenizer
from tests.tiny import VOCABULARY_SIZE, build

LAYERS = 4
LOUD = 7  # the id whose embedding is made long
METRICS = ("bucket", "knn(k=3)", "cosine")


@cache
def loud(architecture="llama", times=300.0):
    """A tiny model in which one token id has a massive hidden state, at all sites: the stream adds to it."""
    model = build(architecture, LAYERS)
    with torch.no_grad():
        model.get_input_embeddings().weight[LOUD] *= times
    return LoadedModel.of(model, tokenizer(), architecture)


@pytest.fixture(scope="module")
def windows():
    """Four windows that hold none, one, two and one of that id."""
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(8, VOCABULARY_SIZE, (4, 24), generator=generator)
    for window, position in ((1, 0), (2, 0), (2, 9), (3, 23)):
        ids[window, position] = LOUD
    return Windows(ids)


WHERE = [(1, 0), (2, 0), (2, 9), (3, 23)]


def kept_rows(states, window):
    """A window's states, float64 (tokens, width), without the rows of massive tokens."""
    gone = [position for which, position in WHERE if which == window]
    return np.delete(states[window].double().numpy(), gone, axis=0)


def bucket(x, buckets=20):
    total = 0.0
    for column in x.T:
        counts, _ = np.histogram(column, buckets)
        shares = counts[counts > 0] / len(column)
        total -= float((shares * np.log(shares)).sum())
    return total


def knn(x, k=3):
    n, d = x.shape
    distances = np.sort(np.linalg.norm(x[:, None] - x[None], axis=2), axis=1)[:, k]
    constant = d / 2 * math.log(math.pi) - math.lgamma(d / 2 + 1) + math.log(n) - math.log(k)
    return d * float(np.log(distances + 1e-10).mean()) + constant


def importance(x, y):
    cosines = (x * y).sum(axis=1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    return 1 - float(cosines.mean())


def values(table, name, metric):
    return table[table["metric"] == metric].set_index(name)["per_window"]


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox"])
def test_every_metric_is_the_formula_on_the_rows_that_are_left(architecture, windows):
    loaded = loud(architecture)
    states = read_sites(loaded.model, windows.token_ids)
    found = analyze(loaded, windows, METRICS, without_massive=True)
    for site, tensor in states.items():
        kept = [kept_rows(tensor, window) for window in range(4)]
        # A value that differs in its last digit may fall into another bucket.
        assert values(found.sites, "site", "bucket")[site] == pytest.approx([*map(bucket, kept)], abs=0.3), (
            site
        )
        assert values(found.sites, "site", "knn(k=3)")[site] == pytest.approx([*map(knn, kept)], rel=1e-4)
    for i in range(LAYERS):
        before = "embed" if i == 0 else f"layer.{i - 1}"
        for block, x, y in (
            (f"attn.{i}", before, f"attn.{i}"),
            (f"mlp.{i}", f"attn.{i}", f"layer.{i}"),
            (f"layer.{i}", before, f"layer.{i}"),
        ):
            wanted = [
                importance(kept_rows(states[x], window), kept_rows(states[y], window)) for window in range(4)
            ]
            assert values(found.blocks, "block", "cosine")[block] == pytest.approx(wanted, abs=1e-5), block


def test_the_tokens_are_those_and_their_ratio_is_that_of_norms(windows):
    loaded = loud()
    found = analyze(loaded, windows, ("bucket",)).massive
    assert [*zip(found["window"], found["position"], strict=True)] == WHERE
    assert set(found["token_id"]) == {LOUD}
    ratios = {}
    for states in read_sites(loaded.model, windows.token_ids).values():
        norms = np.linalg.norm(states.double().numpy(), axis=2)
        for window, position in WHERE:
            middle = sorted(norms[window])[11]  # of 24, the lower of the middle two
            ratio = norms[window, position] / middle
            ratios[window, position] = max(ratio, ratios.get((window, position), 0))
    assert [*found["ratio"]] == pytest.approx([ratios[place] for place in WHERE], rel=1e-5)
    assert set(found["first"]) == {"embed"}


def test_a_token_massive_at_one_site_alone_is_left_out_at_all(windows):
    found = massive.MassiveCount(loud())
    ids = windows.token_ids[:1]
    plain = torch.ones(1, 24, 8)
    loud_once = plain.clone()
    loud_once[0, 4] *= 11
    for site, states in (("embed", plain), ("attn.0", loud_once), ("layer.0", plain)):
        found.site(ids, site, states, 6)
    (row,) = found.table.to_dict("records")
    assert (row["window"], row["position"], row["first"], row["last"]) == (6, 4, "attn.0", "attn.0")
    assert row["ratio"] == pytest.approx(11)


@pytest.mark.parametrize(("times", "count"), [(10.001, 1), (9.999, 0)])
def test_the_bound_is_ten_times_the_median(times, count, windows):
    states = torch.ones(1, 24, 8)
    states[0, 3] *= times
    assert int((massive.norm_ratios(states) > 10).sum()) == count


def test_norms_that_float32_cannot_hold_are_compared_all_the_same():
    states = torch.full((1, 5, 4), 1e25)
    states[0, 2] *= 100
    assert massive.norm_ratios(states)[0].tolist() == pytest.approx([1, 1, 100, 1, 1])
    assert massive.norm_ratios(torch.zeros(1, 5, 4)).tolist() == [[0.0] * 5]


def test_one_pass_that_knows_the_tokens_is_the_same_as_two(windows, monkeypatch):
    loaded = loud()
    alone = analyze(loaded, windows, METRICS, without_massive=True)
    dense = analyze(loaded, windows, ("bucket",))
    monkeypatch.setattr(measuring, "massive_tokens", lambda *_, **__: pytest.fail("looked for again"))
    assert analyze(loaded, windows, METRICS, without_massive=True, dense=dense).to_json() == alone.to_json()


def test_the_batch_makes_no_difference(windows, monkeypatch):
    loaded = loud()
    whole = analyze(loaded, windows, METRICS, without_massive=True)
    for module in (measuring, massive):
        monkeypatch.setattr(module, "windows_per_batch", lambda anatomy, length: 3)
    parts = analyze(loaded, windows, METRICS, without_massive=True)
    assert parts.massive.to_dict("records") == [
        row | {"ratio": pytest.approx(row["ratio"])} for row in whole.massive.to_dict("records")
    ]
    for some, other in zip(parts.sites["per_window"], whole.sites["per_window"], strict=True):
        assert some == pytest.approx(other, rel=1e-4, abs=0.3)


@pytest.mark.parametrize("drop", ["mlp.1", "layer.2", "attn.0,attn.3"])
def test_the_pruned_curve_leaves_out_the_tokens_of_the_dense_model(drop, windows):
    loaded, drop = loud(), PruneSet.parse(drop)
    dense = analyze(loaded, windows, METRICS, without_massive=True)
    found = analyze(loaded, windows, METRICS, drop=drop, without_massive=True, dense=dense)
    alone = analyze(loaded, windows, METRICS, drop=drop, without_massive=True)
    assert [*zip(found.massive["window"], found.massive["position"], strict=True)] == WHERE
    last = read_sites(without(loaded.model, drop), windows.token_ids)
    last = last[f"layer.{LAYERS - 1 - len(drop.attention & drop.mlp)}"]
    wanted = [knn(kept_rows(last, window)) for window in range(4)]
    for one in (found, alone):
        assert values(one.sites, "site", "knn(k=3)")[f"layer.{LAYERS - 1}"] == pytest.approx(wanted, rel=1e-4)
        for block in drop:
            assert set(values(one.blocks, "block", "bucket")[str(block)]) == {0.0}


def test_values_of_all_tokens_are_not_taken_over(windows):
    loaded, drop = loud(), PruneSet.parse("layer.2")
    dense = analyze(loaded, windows, METRICS)
    found = analyze(loaded, windows, METRICS, drop=drop, without_massive=True, dense=dense)
    alone = analyze(loaded, windows, METRICS, drop=drop, without_massive=True)
    assert found.to_json() == alone.to_json()


def test_where_nothing_is_massive_the_numbers_are_those_of_all_tokens(windows):
    loaded = loud(times=1.0)
    plain = analyze(loaded, windows, METRICS)
    found = analyze(loaded, windows, METRICS, without_massive=True)
    assert plain.massive.empty
    for table in ("sites", "blocks"):
        assert getattr(found, table).equals(getattr(plain, table))
    assert found.notes[-1].startswith("Left out: nothing")


def test_the_result_names_what_was_left_out(windows):
    plain = analyze(loud(), windows, ("bucket",))
    found = analyze(loud(), windows, ("bucket",), without_massive=True)
    assert "the first token of 2 of 4 windows and 2 other tokens of 2 of 4 windows" in found.notes[-1]
    assert "× the median norm" in found.notes[-1]
    assert not any("Left out" in note for note in plain.notes)
    assert found.to_json()["without_massive"] is True
    assert [row["position"] for row in found.to_json()["massive"]] == [0, 0, 9, 23]
    assert "without_massive" not in plain.to_json()


def test_too_few_tokens_left_is_said():
    ids = torch.randint(8, VOCABULARY_SIZE, (2, 26), generator=torch.Generator().manual_seed(1))
    ids[1, 0] = LOUD
    with pytest.raises(OptionError, match=r"at least 26 .* window 2 of 2 has 25 without its massive tokens"):
        analyze(loud(), Windows(ids), ("knn",), without_massive=True)
    assert not analyze(loud(), Windows(ids), ("knn",)).sites.empty


def test_states_that_are_not_finite_are_no_massive_tokens(windows):
    loaded = loud(times=float("inf"))
    with pytest.raises(ModelError):
        analyze(loaded, windows, METRICS, without_massive=True)


def test_layers_alone_are_measured_without_the_same_tokens(windows):
    loaded = loud()
    every = analyze(loaded, windows, METRICS, KINDS, without_massive=True)
    found = analyze(loaded, windows, METRICS, ("layer",), without_massive=True)
    assert found.massive.equals(every.massive)
    assert analyze(loaded, windows, METRICS, ("layer",)).massive is None
