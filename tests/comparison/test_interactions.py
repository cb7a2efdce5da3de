"""Pairs of blocks, each against a really altered copy; what is streamed, limited and refused."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from entviz.blocks import Block
from entviz.comparison.interactions import interactions as module
from entviz.comparison.interactions.interactions import Interactions, interactions
from entviz.comparison.interactions.plan import plan
from entviz.errors import BlockError, Cancelled, OptionError
from entviz.models import LoadedModel
from entviz.statistics import cosine_averages, interval
from entviz.store.codec import pack, unpack
from entviz.studies import result_type
from entviz.text.windows import windows_from_token_ids
from tests.comparison.damage import token_damage
from tests.tiny import build

LAYERS = 5
IDS = torch.randint(3, 101, (3, 24), generator=torch.Generator().manual_seed(2))
WINDOWS = windows_from_token_ids(IDS.tolist(), 101)


@pytest.fixture(scope="module")
def tiny():
    return LoadedModel.of(build("llama", layers=LAYERS))


@pytest.fixture(scope="module", params=["layer", "attn", "mlp", "attn+mlp"])
def found(request, tiny):
    return interactions(tiny, WINDOWS, request.param)


def damage_of(model, *blocks):
    """Loss increase and KL of each window, as (2, windows)."""
    return tokens_of(model, *blocks).mean(axis=2)


def tokens_of(model, *blocks):
    """Loss increase and KL of each token, as (2, windows, tokens)."""
    return torch.stack(token_damage(model, IDS, *blocks)).numpy()


def test_every_pair_costs_what_a_really_altered_copy_does(found):
    model = build("llama", layers=LAYERS)
    tokens = {name: tokens_of(model, name) for name in found.blocks}
    alone = {name: of_tokens.mean(axis=2) for name, of_tokens in tokens.items()}
    for i, first in enumerate(found.blocks):
        assert [found.alone("loss")[i], found.alone("kl")[i]] == pytest.approx(
            alone[first].mean(axis=1), abs=1e-4
        )
        for j, second in enumerate(found.blocks):
            if i == j:
                assert np.isnan(found.beyond("loss")[i, j])
                continue
            beyond = tokens_of(model, first, second) - tokens[first] - tokens[second]
            for number, name in enumerate(("loss", "kl")):
                wanted = interval(cosine_averages(beyond[number]))
                assert found.beyond(name)[i, j] == pytest.approx(beyond[number].mean(), abs=2e-4)
                assert found.reach(name)[i, j] == pytest.approx(wanted.reach, abs=4e-4)


def test_the_table_has_every_pair_once_and_adds_up(found):
    table = found.table()
    count = len(found.blocks)
    assert len(table) == found.pairs == found.pairs_done == count * (count - 1) // 2
    assert len({frozenset(pair) for pair in zip(table["first"], table["second"], strict=True)}) == len(table)
    assert (table["loss_together"] - table["loss_sum"]).to_numpy() == pytest.approx(table["loss_interaction"])
    assert found.beyond("kl") == pytest.approx(found.beyond("kl").T, nan_ok=True)
    json.dumps(found.to_json(), allow_nan=False)


def test_it_comes_back_from_the_store_as_it_was(found):
    again, _ = unpack("interactions", pack("interactions", found)[0], result_type)
    assert again.to_json() == found.to_json()


def test_what_an_earlier_version_kept_has_the_errors_of_windows(found):
    earlier = dataclasses.replace(found, beyond_loss_cosines=None, beyond_kl_cosines=None)
    beyond = found.together_loss - found.alone_loss[:, None] - found.alone_loss[None]
    assert earlier.standard_error() == pytest.approx(beyond.std(axis=2, ddof=1) / np.sqrt(3), nan_ok=True)


def test_what_is_measured_so_far_is_reported_and_never_changes_afterwards(tiny, monkeypatch):
    monkeypatch.setattr(module, "_FEWEST_TOGETHER", 1)
    seen: list[tuple[int, Interactions]] = []
    steps = []

    def watch(done, total, partial=None):
        steps.append((done, total))
        if partial is not None:
            seen.append((partial.pairs_done, partial))

    found = interactions(tiny, WINDOWS, "attn+mlp", progress=watch)
    assert seen[0][0] == 0
    assert seen[-1][0] == 45
    assert len(seen) > 3
    assert all(count == partial.pairs_done for count, partial in seen)
    assert steps == sorted(steps)
    assert steps[-1] == (56 * 3, 56 * 3)
    half = seen[1][1]
    known = ~np.isnan(half.together("loss"))
    assert half.together("loss")[known] == pytest.approx(found.together("loss")[known])


def test_it_stops_when_told_to(tiny):
    def stop(done, total, partial=None):
        if done >= 30:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        interactions(tiny, WINDOWS, "attn+mlp", progress=stop)


def test_chosen_blocks_alone_are_paired(tiny):
    some = [Block("attn", 4), Block("attn", 1)]
    found = interactions(tiny, WINDOWS, "attn", blocks=some)
    assert found.blocks == ("attn.1", "attn.4")
    whole = interactions(tiny, WINDOWS, "attn")
    assert found.beyond("loss")[0, 1] == pytest.approx(whole.beyond("loss")[1, 4], abs=1e-5)


def test_a_pair_that_leaves_nothing_is_passed_over():
    found = interactions(LoadedModel.of(build("llama", layers=2)), WINDOWS, "layer")
    assert found.pairs_done == 0
    assert np.isfinite(found.alone("loss")).all()
    assert found.table().empty


def test_a_window_of_few_tokens_has_no_standard_error(tiny):
    found = interactions(tiny, windows_from_token_ids(IDS[:1, :8].tolist(), 101), "attn")
    assert np.isnan(found.standard_error("loss")).all()
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("level", "blocks", "error", "sentence"),
    [
        ("head", None, BlockError, "not a level"),
        ("attn", [Block("mlp", 1), Block("attn", 2)], OptionError, "not a block of level attn"),
        ("attn", [Block("attn", 9), Block("attn", 2)], BlockError, "does not exist"),
        ("attn", [Block("attn", 2)], OptionError, "needs two blocks"),
    ],
)
def test_what_cannot_be_paired_is_said(tiny, level, blocks, error, sentence):
    for measure in (interactions, plan):
        with pytest.raises(error, match=sentence):
            measure(tiny, WINDOWS, level, blocks=blocks)


def test_too_many_pairs_are_refused_with_a_way_out(tiny, monkeypatch):
    monkeypatch.setattr(module, "MOST_PAIRS", 44)
    with pytest.raises(OptionError, match=r"10 blocks make 45 pairs.*level attn or mlp alone"):
        interactions(tiny, WINDOWS, "attn+mlp")
    assert interactions(tiny, WINDOWS, "attn").pairs == 10


def test_a_plan_grows_with_the_pairs_and_the_windows(tiny):
    small = plan(tiny, WINDOWS, "attn")
    assert (small.blocks, small.pairs) == (5, 10)
    assert 0 < small.seconds_alone < small.seconds_pairs
    joint = plan(tiny, WINDOWS, "attn+mlp")
    assert (joint.blocks, joint.pairs) == (10, 45)
    assert dataclasses.asdict(joint).keys() == {"blocks", "pairs", "seconds_alone", "seconds_pairs"}
