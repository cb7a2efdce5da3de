"""Blocks, prune sets and sites: how they are written, read and combined."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entviz.blocks import KINDS, Block, PruneSet, all_blocks, check_levels, site_names, sites_of
from entviz.errors import BlockError

blocks = st.builds(Block, st.sampled_from(KINDS), st.integers(0, 40))
prune_sets = st.builds(PruneSet, st.lists(blocks, max_size=12))


@given(block=blocks)
def test_a_block_is_read_as_it_is_written(block):
    assert Block.parse(str(block)) == block
    assert Block.parse(f"  {block}\n") == block


@pytest.mark.parametrize(
    "text",
    ["", "attn", "attn.", "attn.-1", "attn.1.2", "Attn.1", "head.1", "attn.1234567", "attn.١", "attn 1"],
)
def test_what_is_no_block(text):
    with pytest.raises(BlockError, match=r"is not a block: write layer\.N, attn\.N or mlp\.N"):
        Block.parse(text)


def test_the_message_about_a_block_quotes_no_more_than_a_bit():
    with pytest.raises(BlockError) as caught:
        Block.parse("x" * 10_000)
    assert len(str(caught.value)) < 150


@given(drop=prune_sets)
def test_a_prune_set_is_read_as_it_is_written(drop):
    assert PruneSet.parse(str(drop)) == drop
    assert PruneSet.parse(str(drop).replace(",", " ;\n")) == drop
    assert PruneSet(drop) == drop
    assert list(drop) == sorted(drop)
    assert hash(PruneSet.parse(str(drop))) == hash(drop)
    assert pickle.loads(pickle.dumps(drop)) == drop
    assert bool(drop) == bool(str(drop))


def test_an_attention_and_an_mlp_are_a_layer():
    both = PruneSet.parse("mlp.7,attn.7")
    assert both == PruneSet.parse("layer.7")
    assert str(both) == "layer.7"
    assert [Block.parse(name) in both for name in ("attn.7", "mlp.7", "layer.7", "attn.6")] == [True] * 3 + [
        False
    ]
    assert Block.parse("layer.7") not in PruneSet.parse("attn.7")
    assert len(PruneSet.parse("attn.1,mlp.1,attn.2")) == 2  # layers that lose something


@given(one=prune_sets, other=prune_sets)
def test_sets_are_sets_of_attentions_and_mlps(one, other):
    def halves(drop):
        return {("attn", i) for i in drop.attention} | {("mlp", i) for i in drop.mlp}

    assert halves(one | other) == halves(one) | halves(other)
    assert halves(one - other) == halves(one) - halves(other)
    assert (one == other) == (halves(one) == halves(other))
    for block in one:
        assert block in one | other


def test_a_prune_set_does_not_change():
    drop = PruneSet.parse("attn.1")
    with pytest.raises(AttributeError, match="make a new one"):
        drop.attention = frozenset()


def test_what_a_model_can_do_without():
    assert PruneSet.parse("layer.0,attn.1").check(2) == PruneSet.parse("layer.0,attn.1")
    assert PruneSet().check(1) == PruneSet()
    for text in ("layer.0,layer.1", "attn.0,mlp.0,attn.1,mlp.1"):
        with pytest.raises(BlockError, match="drops all 2 layers; keep at least one block"):
            PruneSet.parse(text).check(2)
    with pytest.raises(BlockError, match=r"mlp\.2 does not exist: the model's layers are 0 to 1"):
        PruneSet.parse("attn.0,mlp.2").check(2)


def test_all_blocks_by_depth():
    assert [str(block) for block in all_blocks(2)] == [
        "layer.0",
        "attn.0",
        "mlp.0",
        "layer.1",
        "attn.1",
        "mlp.1",
    ]
    assert [str(block) for block in all_blocks(3, ("mlp",))] == ["mlp.0", "mlp.1", "mlp.2"]


def test_levels():
    assert check_levels(("mlp", "layer", "mlp")) == ("mlp", "layer")
    with pytest.raises(BlockError, match="'heads' is not a level: choose from layer, attn, mlp"):
        check_levels(("layer", "heads"))
    with pytest.raises(BlockError, match="No level given"):
        check_levels(())


def test_sites():
    assert site_names(2) == ["embed", "attn.0", "layer.0", "attn.1", "layer.1"]
    assert len(site_names(30)) == 61
    assert sites_of(Block.parse("attn.0")) == ("embed", "attn.0")
    assert sites_of(Block.parse("mlp.3")) == ("attn.3", "layer.3")
    assert sites_of(Block.parse("layer.3")) == ("layer.2", "layer.3")
