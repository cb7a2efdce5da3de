"""The damage of each further block: against single evaluations, really altered copies, and work that was stopped."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr

from entviz.blocks import Block, PruneSet
from entviz.comparison.damages import block_damages as module
from entviz.comparison.damages.agreement import agreement
from entviz.comparison.damages.block_damages import block_damages, further_blocks
from entviz.criteria import rank
from entviz.decoder.splitting import SplitLayer
from entviz.decoder.states import StateCache
from entviz.errors import BlockError, Cancelled
from entviz.evaluation.loss import evaluate
from entviz.figures import damages as drawn
from entviz.models import LoadedModel
from entviz.statistics import cosine_averages, interval
from entviz.studies import MeasureDamages, TextSample
from entviz.studies.registry import open_store
from entviz.studies.results import StoredParts
from tests.comparison.damage import token_damage
from tests.comparison.windows import random_windows
from tests.tiny import OPTIONS, build

DROP = PruneSet.parse("attn.1,layer.2")
KINDS = ("layer", "attn", "mlp")


@pytest.mark.parametrize("architecture", OPTIONS)
def test_each_is_the_difference_of_two_evaluations(architecture):
    loaded, windows = LoadedModel.of(build(architecture, 4)), random_windows(2, seed=1)
    found = block_damages(loaded, windows, DROP, KINDS)
    present = evaluate(loaded, windows, DROP)
    assert (found.nll, found.kl) == pytest.approx((present.nll, present.kl), abs=1e-5)
    names = ["layer.0", "attn.0", "mlp.0", "layer.1", "mlp.1", "layer.3", "attn.3", "mlp.3"]
    assert list(found.blocks["block"]) == names
    for row in found.blocks.itertuples():
        both = evaluate(loaded, windows, DROP | PruneSet.parse(row.block))
        assert row.loss == pytest.approx(both.nll - present.nll, abs=1e-5)
        assert row.kl == pytest.approx(both.kl, abs=1e-5)
        assert row.loss_reach == pytest.approx(both.nll_above(present.token_nll).reach, rel=1e-3, abs=1e-6)
        assert row.kl_reach == pytest.approx(both.kl_interval.reach, rel=1e-3, abs=1e-6)
    assert found.finished


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox", "gemma3_text"])
def test_each_is_that_of_copies_really_without_the_blocks(architecture):
    model, windows = build(architecture, 4), random_windows(3, seed=2)
    found = block_damages(LoadedModel.of(model), windows, PruneSet.parse("attn.1"))
    before, _ = token_damage(model, windows.token_ids, "attn.1")
    for row in found.blocks.itertuples():
        loss, divergence = (
            part.numpy() for part in token_damage(model, windows.token_ids, "attn.1", row.block)
        )
        wanted = interval(cosine_averages(loss - before.numpy()))
        assert (row.loss, row.loss_reach) == pytest.approx((wanted.mean, wanted.reach), rel=1e-3, abs=2e-5)
        assert row.kl == pytest.approx(divergence.mean(), rel=1e-3, abs=2e-5)


def test_of_the_dense_model_they_are_those_of_leave_one_out(tiny, measured):
    found = block_damages(tiny, measured, levels=("attn",)).blocks.set_index("block")["loss"]
    alone = rank(tiny, measured, "leave-one-out", level="attn").scores.set_index("block")["score"]
    dense = evaluate(tiny, measured, PruneSet()).nll
    pd.testing.assert_series_equal(found, alone - dense, check_names=False, atol=1e-5)


@pytest.fixture
def runs(monkeypatch):
    """The layers that are run, one entry each time."""
    layers = []
    for name in ("trace", "run"):
        real = getattr(SplitLayer, name)

        def watched(self, *given, real=real, **more):
            layers.append(self)
            return real(self, *given, **more)

        monkeypatch.setattr(SplitLayer, name, watched)
    return layers


def test_they_take_half_of_as_many_evaluations(runs):
    layers = 8
    loaded, windows = LoadedModel.of(build("llama", layers)), random_windows(2, seed=1)
    loaded.anatomy.begin(windows.token_ids)
    runs.clear()
    found = block_damages(loaded, windows, PruneSet.parse("attn.3"))
    assert len(found.blocks) == 2 * layers - 1
    # A block's own layer, without it, and those after it; the dense model and the present set; what a token takes.
    shares = sum(2 * (layers - layer) for layer in range(layers))
    assert len(runs) <= shares + 2 * layers + 1 < 0.75 * len(found.blocks) * layers


def test_where_no_states_can_be_kept_the_numbers_are_the_same(tiny, measured):
    kept = block_damages(tiny, measured, DROP)
    pd.testing.assert_frame_equal(
        kept.blocks, block_damages(tiny, measured, DROP, cache=StateCache(0)).blocks, atol=1e-5
    )


def test_partial_results_begin_with_the_last_layers(tiny, measured):
    seen = []

    def note(done, total, partial=None):
        assert 0 <= done <= total
        if partial is not None:
            seen.append((done, partial))

    whole = block_damages(tiny, measured, DROP, progress=note)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[0][1].measured == 0, "at first the present prune set alone"
    last = seen[1][1].blocks.dropna()
    assert list(last["block"]) == ["attn.5", "mlp.5"]
    pd.testing.assert_frame_equal(last, whole.blocks.loc[last.index])
    assert not seen[1][1].finished
    assert "still to measure" in drawn.headline(seen[1][1])
    pd.testing.assert_frame_equal(seen[-1][1].blocks, whole.blocks)


def test_more_windows_than_go_through_at_once(tiny):
    windows, seen = random_windows(30, seed=4), []
    whole = block_damages(
        tiny, windows, DROP, progress=lambda _, __, partial=None: seen.append(partial) if partial else None
    )
    assert whole.windows == 30
    counts = [partial.windows for partial in seen]
    assert counts == sorted(counts)
    assert len(set(counts)) > 1
    for partial in seen:
        if partial.measured == len(partial.blocks):
            exact = block_damages(tiny, windows[: partial.windows], DROP).blocks
            np.testing.assert_allclose(partial.blocks["loss"], exact["loss"], atol=1e-5)
    present = evaluate(tiny, windows, DROP)
    for row in whole.blocks.itertuples():
        both = evaluate(tiny, windows, DROP | PruneSet.parse(row.block))
        assert row.loss == pytest.approx(both.nll - present.nll, abs=1e-5)
        assert row.loss_reach == pytest.approx(both.nll_above(present.token_nll).reach, rel=1e-3)


@pytest.fixture
def evaluated(monkeypatch):
    """The prune sets that are run."""
    sets = []
    real = module.evaluate_many

    def counted(loaded, windows, prune_sets, **options):
        sets.extend(map(str, prune_sets))
        return real(loaded, windows, prune_sets, **options)

    monkeypatch.setattr(module, "evaluate_many", counted)
    return sets


def test_what_was_stopped_goes_on_where_it_was(tiny, measured, tmp_path, evaluated):
    question = MeasureDamages(TextSample("tiny", "", None, 40), DROP)
    kept = StoredParts(open_store(f"sqlite:///{tmp_path}/runs.sqlite"), tiny, question)

    def stop(done, total, partial=None):
        if partial is not None and partial.measured >= 3:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        block_damages(tiny, measured, DROP, kept=kept, progress=stop)
    first = set(evaluated)
    evaluated.clear()
    found = block_damages(tiny, measured, DROP, kept=kept)
    assert len(first) >= 4
    assert not first & set(evaluated)
    pd.testing.assert_frame_equal(found.blocks, block_damages(tiny, measured, DROP).blocks, atol=1e-6)
    evaluated.clear()
    block_damages(tiny, measured, DROP | PruneSet.parse("mlp.4"), kept=kept)
    assert "attn.1,layer.2,mlp.4" not in evaluated, "it was measured as a further block"
    evaluated.clear()
    block_damages(tiny, measured, DROP, kept=kept, dtype="bfloat16")
    assert str(DROP) in evaluated, "of another number type nothing is taken over"


def test_what_leaves_nothing_is_no_further_block():
    assert [str(block) for block in further_blocks(PruneSet.parse("layer.0,attn.1"), 2)] == []
    assert [str(block) for block in further_blocks(PruneSet.parse("layer.0"), 2, KINDS)] == [
        "attn.1",
        "mlp.1",
    ]
    loaded, windows = LoadedModel.of(build("llama", 2)), random_windows(1, seed=1)
    found = block_damages(loaded, windows, PruneSet.parse("layer.0,attn.1"))
    assert (len(found.blocks), found.finished) == (0, True)
    assert drawn.headline(found).endswith("no block is measured yet.")
    for wrong in ("attn.2", "layer.0,layer.1"):
        with pytest.raises(BlockError):
            block_damages(loaded, windows, PruneSet.parse(wrong))
    with pytest.raises(BlockError, match="head"):
        block_damages(loaded, windows, levels=("head",))


def test_a_block_without_which_the_model_overflows_is_named():
    model = build("llama", layers=5, mlp_bias=True)
    with torch.no_grad():
        for layer, added in enumerate((0, 40_000, -40_000, 40_000, -40_000)):
            model.model.layers[layer].mlp.down_proj.bias[3] = added
    loaded, windows = LoadedModel.of(model), random_windows(2, seed=1)
    found = block_damages(loaded, windows, levels=("mlp",), dtype="float16")
    assert found.overflowing == ["mlp.2"]
    assert np.isinf(found.blocks.set_index("block").at["mlp.2", "loss"])
    plain = found.to_json()
    assert json.dumps(plain, allow_nan=False)
    assert plain["overflows_without"] == ["mlp.2"]
    assert "The model overflows without mlp.2." in drawn.headline(found)
    assert "mlp.2" not in "".join(drawn.damage_bars(found).data[0].customdata)
    ranking = rank(loaded, windows, "last", level="mlp")
    assert "mlp.2" not in agreement(ranking, found, count=5).by_damage


def test_the_agreement_is_that_of_two_orders(tiny, measured):
    damages = block_damages(tiny, measured, PruneSet.parse("mlp.3"))
    ranking = rank(tiny, measured, "cosine", level="attn+mlp", protect=(1, 0))
    found = agreement(ranking, damages)
    scores = ranking.scores[~ranking.scores["protected"] & (ranking.scores["block"] != "mlp.3")]
    both = scores.merge(damages.blocks, on="block")
    assert found.blocks == len(both) == 9
    assert found.spearman == pytest.approx(spearmanr(both["score"], both["loss"]).statistic)
    assert found.by_criterion == tuple(both.nsmallest(3, "score")["block"])
    assert found.by_damage == tuple(both.nsmallest(3, "loss")["block"])
    assert found.shared == len(set(found.by_criterion) & set(found.by_damage))
    said = drawn.agreement_sentence(found, "Cosine", "blocks")
    assert f"over 9 kept blocks, and {found.shared} of the 3 cheapest are the same." in said
    few = agreement(rank(tiny, measured, "cosine", level="attn", protect=(1, 1)), damages)
    assert np.isnan(few.spearman)
    assert drawn.agreement_sentence(few, "Cosine", "attentions").startswith("Too few attentions")


def test_the_bars_hold_the_table(tiny, measured):
    found = block_damages(tiny, measured, DROP)
    figure = drawn.damage_bars(found)
    for trace, kind in zip(figure.data, ("attn", "mlp"), strict=True):
        rows = found.blocks[found.blocks["kind"] == kind]
        np.testing.assert_array_equal(trace.x, rows["index"])
        np.testing.assert_array_equal(trace.y, rows["loss"])
        assert all("±" in said for said in trace.customdata)
    best = found.blocks.nsmallest(1, "loss")["block"].iloc[0]
    assert f"the cheapest to drop next by measured loss: {best} (" in drawn.headline(found)
    assert Block.parse(best) not in DROP
