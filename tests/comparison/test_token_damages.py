"""What each dropped block costs each token: against separate evaluations and really altered copies."""

import json

import numpy as np
import pytest
import torch

from entviz.blocks import PruneSet
from entviz.comparison.damages import token_damages as module
from entviz.comparison.damages.token_damages import MOST_BLOCKS, token_damages
from entviz.errors import BlockError, Cancelled, OptionError
from entviz.evaluation.loss import evaluate
from entviz.figures import token_damages as drawn
from entviz.figures import tokens
from entviz.models import LoadedModel
from entviz.studies import MeasureTokenDamages, TextSample
from entviz.studies import token_damages as asked
from entviz.studies.registry import open_store
from entviz.studies.results import StoredParts
from entviz.words.phrases import number
from tests.comparison.damage import token_damage
from tests.comparison.windows import random_windows
from tests.tiny import OPTIONS, build

DROP = PruneSet.parse("attn.1,layer.2,mlp.4")
NAMES = ("attn.1", "layer.2", "mlp.4")


@pytest.mark.parametrize("architecture", OPTIONS)
def test_a_cost_is_the_difference_of_two_evaluations(architecture):
    loaded, windows = LoadedModel.of(build(architecture, 5)), random_windows(2, seed=1)
    found = token_damages(loaded, windows, DROP)
    assert found.blocks == found.measured == NAMES
    assert found.costs.shape == (3, 2, 39)
    present = evaluate(loaded, windows, DROP).token_nll
    np.testing.assert_allclose(found.token_nll, present, atol=1e-5)
    for name in NAMES:
        put_back = evaluate(loaded, windows, DROP - PruneSet.parse(name)).token_nll
        np.testing.assert_allclose(found.of(name), present - put_back, atol=1e-4)
    assert json.dumps(found.to_json(), allow_nan=False)


def test_a_cost_is_that_of_copies_really_without_the_blocks():
    model, windows = build("llama", 5), random_windows(3, seed=2)
    found = token_damages(LoadedModel.of(model), windows, DROP)
    whole, _ = token_damage(model, windows.token_ids, *NAMES)
    for name in NAMES:
        rest, _ = token_damage(model, windows.token_ids, *(other for other in NAMES if other != name))
        np.testing.assert_allclose(found.of(name), (whole - rest).numpy(), atol=2e-4)


def test_what_is_said_of_a_token_and_of_a_block_is_in_the_array(tiny, measured):
    found = token_damages(tiny, measured, DROP)
    costs = {name: found.of(name)[3, 10] for name in NAMES}
    rows = found.at(3, 11)
    assert list(rows["block"]) == sorted(costs, key=costs.get, reverse=True)
    assert dict(zip(rows["block"], rows["cost"], strict=True)) == costs
    table = found.table().set_index("block")
    for name in NAMES:
        row = table.loc[name]
        assert row["cost"] == pytest.approx(found.of(name).mean())
        assert (
            found.of(name)[int(row["window"]) - 1, int(row["position"]) - 2]
            == row["worst"]
            == found.of(name).max()
        )
    with pytest.raises(OptionError, match=r"attn\.0"):
        found.of("attn.0")

    pieces = [[f"<{window}.{place}>" for place in range(40)] for window in range(len(measured))]
    every = drawn.table(found, pieces)
    assert len(every) == found.token_nll.size
    one = every[(every["window"] == 4) & (every["position"] == 12)].iloc[0]
    assert one["token"] == "<3.11>"
    assert one["nll"] == found.token_nll[3, 10]
    assert {name: one[name] for name in NAMES} == costs
    assert one["dearest"] == max(costs, key=costs.get)
    said = drawn.token_sentence(found, 3, 11, " harbour")
    assert said.startswith("' harbour' (window 4, token 12): its loss is ")
    assert (f"{one['dearest']} costs it most" in said) == (max(costs.values()) > 0)
    bars = drawn.token_bars(found, 3, 11).data[0]
    assert dict(zip(bars.y, bars.x, strict=True)) == costs
    worst = np.unravel_index(found.of("layer.2").argmax(), found.token_nll.shape)
    assert f"most of all '<{worst[0]}.{worst[1] + 1}>'" in drawn.worst_sentence(found, "layer.2", pieces)


def test_the_text_is_coloured_by_what_one_block_costs(tiny, measured):
    found, evaluation = token_damages(tiny, measured, DROP), evaluate(tiny, measured, DROP)
    pieces = [["<b>"] * 40] * len(measured)
    rows = drawn.rows_of(tokens.table(evaluation, pieces), found, "mlp.4")
    scored = rows[rows["position"] > 1]
    np.testing.assert_allclose(scored["increase"], found.of("mlp.4").ravel())
    put_back = evaluate(tiny, measured, DROP - PruneSet.parse("mlp.4")).token_nll
    np.testing.assert_allclose(scored["dense_nll"], put_back.ravel(), atol=1e-4)
    assert rows.loc[rows["position"] == 1, "increase"].isna().all()
    html = tokens.marked_text(rows, 1.0, drawn.names_of("mlp.4"))
    assert html.count("mlp.4 put back") == len(scored)
    assert html.count('data-at="1.2"') == 1
    assert "<b>" not in html


def test_what_was_stopped_goes_on_and_partial_results_come_from_the_last_block(
    tiny, measured, tmp_path, monkeypatch
):
    question = MeasureTokenDamages(TextSample("tiny", "", None, 40), DROP)
    kept = StoredParts(open_store(f"sqlite:///{tmp_path}/runs.sqlite"), tiny, question)
    seen, sets = [], []
    real = module.evaluate

    def counted(loaded, windows, drop, **options):
        sets.append(str(drop))
        return real(loaded, windows, drop, **options)

    def stop(done, total, partial=None):
        if partial is not None:
            seen.append(partial)
            raise Cancelled("Stopped.")

    monkeypatch.setattr(module, "evaluate", counted)
    with pytest.raises(Cancelled):
        token_damages(tiny, measured, DROP, kept=kept, progress=stop)
    assert seen[0].measured == ("mlp.4",)
    assert drawn.table(seen[0]).columns.tolist() == ["window", "position", "nll", "dearest", "mlp.4"]
    sets.clear()
    found = token_damages(tiny, measured, DROP, kept=kept)
    assert sets == ["attn.1,mlp.4", "layer.2,mlp.4"]
    np.testing.assert_array_equal(found.costs, token_damages(tiny, measured, DROP).costs)


def test_a_block_with_which_the_model_overflows_is_named():
    """Without the MLPs of layers 2 and 3 nothing overflows in float16; with the third alone put back it does."""
    model = build("llama", layers=5, mlp_bias=True)
    with torch.no_grad():
        for layer, added in enumerate((0, 40_000, -40_000, 40_000, -40_000)):
            model.model.layers[layer].mlp.down_proj.bias[3] = added
    loaded, windows = LoadedModel.of(model), random_windows(2, seed=1)
    found = token_damages(loaded, windows, PruneSet.parse("mlp.2,mlp.3"), dtype="float16")
    assert found.overflowing == ("mlp.3",)
    assert found.measured == ("mlp.2",)
    assert json.dumps(found.to_json(), allow_nan=False)


def test_bad_prune_sets_are_refused_before_anything_runs(tiny, measured):
    with pytest.raises(BlockError):
        token_damages(tiny, measured, PruneSet.parse("attn.6"))
    loaded = LoadedModel.of(build("llama", MOST_BLOCKS + 2))
    many = PruneSet.parse(",".join(f"attn.{i}" for i in range(MOST_BLOCKS + 1)))
    assert MOST_BLOCKS == asked.MOST_BLOCKS, "what is said before a model is loaded"
    with pytest.raises(OptionError, match="61 blocks are dropped, and at most 60"):
        token_damages(loaded, measured, many)


def test_what_the_text_and_the_bench_tell_each_other_is_in_the_array(tiny, measured):
    found = token_damages(tiny, measured, DROP)
    pieces = [[f"<{window}.{place}>" for place in range(40)] for window in range(len(measured))]
    links = drawn.links(found, pieces, [2, 2, 3])
    assert json.loads(json.dumps(links, allow_nan=False)) == json.loads(json.dumps(links))
    assert set(links["dropped"]) == {"attn.1", "attn.2", "mlp.2", "mlp.4"}
    for name in NAMES:
        costs = found.of(name)
        marked = []
        for at, token, cost in links["tokens"][name]:
            window, position = map(int, at.split("."))
            marked.append(costs[window - 1, position - 2])
            assert token == f"“<{window - 1}.{position - 1}>”"
            assert cost == number(marked[-1], sign=True)
        assert marked == sorted(costs[costs > 0], reverse=True)[: drawn.MARKED]
    for window in (1, 2):
        for place in range(39):
            costs = {name: found.of(name)[window, place] for name in NAMES}
            dearest = max(costs, key=costs.get)
            wanted = dearest if costs[dearest] > 0 else None
            assert links["blocks"].get(f"{window + 1}.{place + 2}") == wanted
    assert {at.partition(".")[0] for at in links["blocks"]} <= {"2", "3"}
