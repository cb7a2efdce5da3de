"""What the bench draws: one depth axis, both curves and where they turn, bars that stay readable, numbers said."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from entviz.blocks import PruneSet
from entviz.criteria.ranking import ranking_by_score, score_table
from entviz.figures import bench, bench_bars, grid, scale, theme
from entviz.words.phrases import number
from tests.figures.test_depth import DIP, RISE, analysis_of

LAYERS = len(DIP) - 1
PRUNED = [9.0, 6.0, 6.0, 5.0, 1.5, 7.0, 8.0]  # lowest after layer 3


def pruned_analysis(drop="layer.1", curve=PRUNED):
    return replace(analysis_of(curve), drop=PruneSet.parse(drop))


def increases(analysis, kind="attn"):
    rows = analysis.blocks
    rows = rows[(rows["metric"] == "bucket") & (rows["kind"] == kind)]
    return dict(zip(rows["block"], rows["value"], strict=True))


def ranking(scores, layers=LAYERS, protect=(0, 0)):
    return ranking_by_score("entrodrop", score_table(layers, "attn", scores, protect), 0)


def drawn(*, analysis=None, drop="", scores=None, unit="nats", **options):
    analysis = analysis or analysis_of(DIP)
    rankings = [ranking(increases(analysis) if scores is None else scores, analysis.layers)]
    cells = grid.table(rankings, analysis, "bucket", PruneSet.parse(drop), unit)
    return bench.picture(analysis, "bucket", cells, ranked=("attn",), score_title="Score (nats)", **options)


def line(picture, name):
    (found,) = [one for one in picture["curve"]["lines"] if one["name"] == name]
    return found


def measure(picture, name):
    (found,) = [one for one in picture["bars"] if one["name"] == name]
    return found


def test_a_picture_is_plain_data_without_infinities():
    scores = increases(analysis_of(DIP)) | {"attn.2": np.inf, "attn.3": 5.0}
    picture = drawn(drop="layer.3", scores=scores, pruned=pruned_analysis(), damage=damage())
    assert json.loads(json.dumps(picture, allow_nan=False)) == picture


def test_sites_lie_over_their_layers_column_in_order_of_depth():
    places = [point["place"] for point in line(drawn(), "dense")["points"]]
    assert places == sorted(places)
    assert len(places) == 2 * LAYERS + 1
    for point in line(drawn(), "dense")["points"]:
        kind, _, layer = point["site"].partition(".")
        assert int(point["place"]) == (
            0 if kind == "embed" else int(layer) + 1
        )  # the embedding's column stands first
    apart = np.diff(places)
    assert apart == pytest.approx(0.5)


def test_both_curves_are_the_analyses_sites_and_the_dense_one_has_the_band():
    dense, pruned = analysis_of(DIP), pruned_analysis()
    picture = drawn(analysis=dense, pruned=pruned)
    for name, analysis in (("dense", dense), ("pruned", pruned)):
        rows = analysis.sites[analysis.sites["metric"] == "bucket"].set_index("site")
        for point in line(picture, name)["points"]:
            windows = rows.at[point["site"], "per_window"]
            assert point["value"] == pytest.approx(np.mean(windows))
            ends = (min(windows), max(windows)) if name == "dense" else (point["value"],) * 2
            assert (point["low"], point["high"]) == pytest.approx(ends)
    assert line(picture, "dense")["band"] == "lowest to highest window"
    assert line(picture, "pruned")["band"] == ""
    assert line(picture, "dense")["colour"] == theme.DENSE_COLOUR
    assert line(picture, "pruned")["dropped"] == ["attn.1", "mlp.1"]
    values = [
        point[end] for one in picture["curve"]["lines"] for point in one["points"] for end in ("low", "high")
    ]
    assert picture["curve"]["full"]["low"] < min(values)
    assert picture["curve"]["full"]["high"] > max(values)


def test_a_far_point_does_not_flatten_the_curve_and_can_be_seen_in_full():
    curve = [-350.0, *(100.0 + 3 * abs(i - 9) for i in range(20))]
    picture = drawn(analysis=analysis_of(curve))["curve"]
    assert picture["cut"]["low"] > 50
    assert picture["cut"]["high"] > 130
    assert picture["full"]["low"] < -350
    assert line({"curve": picture}, "dense")["points"][0]["text"] == "−350.0"
    assert drawn()["curve"]["cut"] is None


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([-350.0, -348.0, *range(1200, 1239)], (1200, 1238)),
        ([*range(1200, 1239), 9000.0], (1200, 1238)),
        ([1490.0] * 20 + [900.0] * 20, (900, 1490)),  # a third of the way down, but half of the curve
        ([1.0, 2.0], (1, 2)),
    ],
)
def test_an_axis_ends_before_a_few_far_points_only(values, ends):
    assert scale.cut_ends(np.array(values, dtype=float)) == ends


def test_one_window_has_no_band():
    picture = drawn(analysis=analysis_of(DIP, spread=(0.0,)))
    assert line(picture, "dense")["band"] == ""


def test_the_turning_points_of_both_are_at_their_lowest_layers_and_named():
    picture = drawn(pruned=pruned_analysis())
    for name, curve in (("dense", DIP), ("pruned", PRUNED)):
        layer = int(np.argmin(curve[1:]))
        found = line(picture, name)
        assert found["turn"]["site"] == f"layer.{layer}"
        assert found["words"] == f"{name}: turning point at layer {layer}"
    first, second = picture["curve"]["stages"]
    assert first["from"] == 0
    assert first["to"] == second["from"] == line(picture, "dense")["turn"]["place"]
    assert second["to"] == LAYERS + 1


def test_where_massive_tokens_make_the_lowest_layer_no_stage_and_no_turning_point_is_claimed():
    picture = drawn(pruned=pruned_analysis(), turns=False)
    assert picture["curve"]["stages"] == []
    for name, curve in (("dense", DIP), ("pruned", PRUNED)):
        layer = int(np.argmin(curve[1:]))
        assert line(picture, name)["words"] == f"{name}: lowest after layer {layer}"
        assert line(picture, name)["turn"]["site"] == f"layer.{layer}"
    assert "turning" not in str(picture)


def test_a_curve_that_only_rises_has_no_stages_and_says_so():
    picture = drawn(analysis=analysis_of(RISE))
    assert line(picture, "dense")["turn"] is None
    assert line(picture, "dense")["words"] == "dense: no two stages"
    assert picture["curve"]["stages"] == []


def test_without_the_metric_there_is_no_curve_but_cells():
    dense = analysis_of(DIP)
    cells = grid.table([], dense, "knn", PruneSet())
    picture = bench.picture(dense, "knn", cells, ranked=("attn",), pruned=pruned_analysis())
    assert picture["curve"] is None
    assert [one["name"] for one in picture["bars"]] == ["cosine"]
    assert len(picture["cells"]) == 3 * LAYERS


def test_a_pruned_analysis_of_another_metric_is_not_drawn():
    picture = drawn(pruned=replace(analysis_of(PRUNED, metric="knn"), drop=PruneSet.parse("attn.1")))
    assert [one["name"] for one in picture["curve"]["lines"]] == ["dense"]


def test_bars_are_increase_and_importance_and_the_score_only_where_it_is_another_number():
    dense = analysis_of(DIP)
    same = drawn(analysis=dense)
    assert [one["name"] for one in same["bars"]] == ["increase", "cosine"]
    assert [one["scored"] for one in same["bars"]] == [True, False]
    other = drawn(scores={f"attn.{i}": 0.5 * i for i in range(LAYERS)})
    assert [one["name"] for one in other["bars"]] == ["increase", "cosine", "score"]
    assert [one["scored"] for one in other["bars"]] == [False, False, True]
    assert measure(other, "score")["values"]["attn.3"] == {"value": 1.5, "text": "+1.50"}
    for name, metric in (("increase", "bucket"), ("cosine", "cosine")):
        rows = dense.blocks[dense.blocks["metric"] == metric]
        values = {block: one["value"] for block, one in measure(same, name)["values"].items()}
        assert values == pytest.approx(dict(zip(rows["block"], rows["value"], strict=True)))


def test_layers_have_a_row_of_bars_where_they_are_ranked():
    dense = analysis_of(DIP)
    cells = grid.table([], dense, "bucket", PruneSet())
    for ranked, kinds in ((("attn", "mlp"), ["attn", "mlp"]), (("layer",), ["attn", "mlp", "layer"])):
        picture = bench.picture(dense, "bucket", cells, ranked=ranked)
        assert measure(picture, "increase")["kinds"] == kinds


def test_the_change_is_pruned_minus_dense_after_each_block():
    dense, pruned = analysis_of(DIP), pruned_analysis()
    values = measure(drawn(analysis=dense, pruned=pruned), "change")["values"]
    for layer in range(LAYERS):
        assert values[f"mlp.{layer}"]["value"] == pytest.approx(PRUNED[layer + 1] - DIP[layer + 1])
    assert "change" not in [one["name"] for one in drawn()["bars"]]


def damage():
    rows = [
        ("attn.0", 0.4, "nats a token"),
        ("mlp.0", -0.01, "nats a token"),
        ("attn.4", 0.02, "nats a token"),
    ]
    return pd.DataFrame(rows, columns=["block", "value", "unit"])


def test_measured_damage_is_bars_and_colours_of_the_blocks_that_are_measured_so_far():
    picture = drawn(damage=damage())
    found = measure(picture, "damage")
    assert found["axis"] == "Measured damage (nats a token)"
    assert {block: one["value"] for block, one in found["values"].items()} == {
        "attn.0": 0.4,
        "mlp.0": -0.01,
        "attn.4": 0.02,
    }
    assert set(found["colours"]) == {"attn.0", "mlp.0", "attn.4"}
    assert len(set(found["colours"].values())) == 3
    assert found["legend"]["title"] == "Measured damage (nats a token)"
    said = {cell["block"]: cell["said"] for cell in picture["cells"]}
    assert "measured damage −0.0100 nats a token" in said["mlp.0"]
    assert not any("damage" in line for line in said["attn.1"])
    assert "damage" not in [one["name"] for one in drawn(damage=damage().iloc[:0])["bars"]]


def test_a_block_is_said_by_every_measure():
    dense, pruned = analysis_of(DIP), pruned_analysis()
    both = pd.concat([dense.blocks, dense.blocks[dense.blocks["metric"] == "bucket"].assign(metric="knn")])
    sites = pd.concat([dense.sites, dense.sites.assign(metric="knn")])
    picture = drawn(analysis=replace(dense, blocks=both, sites=sites), pruned=pruned)
    found = next(cell for cell in picture["cells"] if cell["block"] == "attn.4")
    said = found["said"]
    step = increases(dense)["attn.4"]
    value = number(float(dense.sites.set_index("site").at["attn.4", "value"]))
    now = number(float(pruned.sites.set_index("site").at["attn.4", "value"]))
    assert said[0] == f"entropy increase Bucket {number(step, sign=True)}, KNN {number(step, sign=True)} nats"
    assert said[1] == "cosine importance 0.5000 (1 − cosine)"
    assert said[2] == f"score {number(step, sign=True)} nats"
    assert said[3].startswith("rank ")
    assert said[-1] == f"bucket entropy after it {value} nats"
    assert found["pruned"] == f"{now} pruned"
    assert {cell["pruned"] for cell in drawn()["cells"]} == {""}


def long_values():
    rng = np.random.default_rng(0)
    values = {f"{kind}.{i}": float(rng.uniform(-1, 1)) for i in range(15) for kind in ("attn", "mlp")}
    return values | {"mlp.11": -573.0}


def test_a_long_bar_does_not_flatten_the_others_and_can_be_seen_in_full():
    values = long_values()
    found = bench_bars._measure("x", "", "", "", values, ("attn", "mlp"), sign=True)
    assert found["axes"]["attn"]["cut"]["long"] == ["mlp.11"]
    rest = [value for block, value in values.items() if block != "mlp.11"]
    # Those others take more than half of the cut axis.
    assert max(rest) - min(rest) > 0.5 * (
        found["axes"]["attn"]["cut"]["high"] - found["axes"]["attn"]["cut"]["low"]
    )
    assert found["axes"]["attn"]["cut"]["low"] < min(rest)
    assert found["axes"]["attn"]["full"]["low"] < -573
    assert found["axes"]["attn"]["full"]["long"] == []
    assert found["values"]["mlp.11"] == {"value": -573.0, "text": "−573.0"}


def test_those_to_choose_among_share_a_scale_on_which_others_do_not_flatten_them():
    values = {f"attn.{i}": 1.0 + i for i in range(9)} | {f"mlp.{i}": 100.0 + i for i in range(9)}
    alone = bench_bars._measure(
        "x", "", "", "", values, ("attn", "mlp"), sign=True, scales=[["attn"], ["mlp"]]
    )["axes"]
    assert 9 <= alone["attn"]["full"]["high"] < 12
    assert alone["mlp"]["full"]["high"] > 108
    together = bench_bars._measure("x", "", "", "", values, ("attn", "mlp"), sign=True)["axes"]
    assert together["attn"] == together["mlp"]
    for ranked, shared in ((("attn",), False), (("attn", "mlp"), True)):
        dense = analysis_of(DIP)
        cells = grid.table([], dense, "bucket", PruneSet())
        picture = bench.picture(dense, "bucket", cells, ranked=ranked, pruned=pruned_analysis())
        axes = measure(picture, "increase")["axes"]
        assert (axes["attn"] == axes["mlp"]) == shared
        change = measure(picture, "change")["axes"]
        assert change["attn"] == change["mlp"], "both are of one curve"


@pytest.mark.parametrize("ends", [(-22.0, 33.0), (0.0, 150.0), (-0.01, 0.4)])
def test_a_row_of_bars_has_a_scale(ends):
    axis = bench_bars._axis(np.array(ends), -np.inf, np.inf)
    assert 2 <= len(axis["marks"]) <= 5


def test_without_a_long_bar_nothing_is_cut():
    found = bench_bars._measure("x", "", "", "", {"attn.0": 1.0, "attn.1": 1.2}, ("attn",), sign=True)
    assert found["axes"]["attn"]["cut"] is None
    assert found["axes"]["attn"]["full"]["low"] == 0


def test_a_block_without_which_the_model_overflows_is_past_the_end_of_either_axis():
    scores = {f"attn.{i}": float(i) for i in range(20)} | {"attn.3": np.inf}
    found = bench_bars._measure("x", "", "", "", scores, ("attn",), sign=False)
    assert found["values"]["attn.3"]["text"] == "∞"
    assert found["values"]["attn.3"]["value"] > found["axes"]["attn"]["full"]["high"]
    assert found["axes"]["attn"]["full"]["long"] == found["axes"]["attn"]["cut"]["long"] == ["attn.3"]


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (860.0, 1490.0, ["1,000", "1,200", "1,400"]),
        (-0.013, 0.031, ["0.00", "0.02"]),
        (-0.013, 0.027, ["−0.01", "0.00", "0.01", "0.02"]),
        (-600.0, 10.0, ["−600", "−400", "−200", "0"]),
        (3.0, 3.0, ["3.00"]),
    ],
)
def test_marks_are_round_numbers_within_the_axis(low, high, texts):
    found = scale.marks(low, high, 4)
    assert [mark.text for mark in found] == texts
    assert all(low - 1e-9 <= mark.at <= high + 1e-9 for mark in found)
    for mark in found:
        assert float(mark.text.replace(",", "").replace("−", "-")) == pytest.approx(mark.at, abs=1e-9)


def test_the_legend_of_the_cells_has_the_scores_ends():
    picture = drawn(scores={f"attn.{i}": float(i) for i in range(LAYERS)})
    low, high = np.quantile(range(LAYERS), [0.05, 0.95])
    assert picture["legend"]["ends"][0] == f"≤ {number(low)}"
    assert picture["legend"]["ends"][-1] == f"≥ {number(high)}"
    assert picture["legend"]["title"] == "Score (nats)"
