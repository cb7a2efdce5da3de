"""The charts across depth agree with the tables: values, order, hover, band and stages, with no stage too many."""

from dataclasses import replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from entviz.analysis import Analysis
from entviz.blocks import PruneSet
from entviz.figures import depth, reading, tables, theme
from entviz.stages import stages
from entviz.words.phrases import number

DIP = [9.0, 6.0, 4.0, 2.0, 5.0, 7.0, 8.0]  # embedding, then after each of six layers: lowest after layer 2
RISE = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
FALL = RISE[::-1]
SPREAD = 0.5


def analysis_of(curve, spread=(-SPREAD, 0.0, SPREAD), metric="bucket", importance=None):
    """An analysis whose entropy runs through ``curve``, every ``attn.i`` halfway, windows apart by ``spread``."""
    layers = len(curve) - 1
    stream = [("embed", "embed", 0.0, curve[0])]
    blocks = []
    for i in range(layers):
        before, after = curve[i], curve[i + 1]
        middle = before + 0.25 * (after - before)
        stream += [(f"attn.{i}", "attn", i + 0.5, middle), (f"layer.{i}", "layer", i + 1.0, after)]
        blocks += [("layer", i, after - before), ("attn", i, middle - before), ("mlp", i, after - middle)]
    sites = [
        (site, kind, at, metric, value + np.mean(spread), tuple(value + s for s in spread))
        for site, kind, at, value in stream
    ]
    rows = [
        (f"{kind}.{i}", kind, i, metric, value, tuple(value + s for s in spread)) for kind, i, value in blocks
    ]
    importance = importance or [0.1 * (i + 1) for i in range(layers)]
    rows += [
        (f"{kind}.{i}", kind, i, "cosine", importance[i], tuple(importance[i] for _ in spread))
        for i in range(layers)
        for kind in ("layer", "attn", "mlp")
    ]
    # The order of rows carries no meaning, so no figure may lean on it.
    return Analysis(
        model="tiny",
        layers=layers,
        windows=len(spread),
        window_length=64,
        sites=pd.DataFrame(sites, columns=["site", "kind", "depth", "metric", "value", "per_window"]).sample(
            frac=1, random_state=0
        ),
        blocks=pd.DataFrame(rows, columns=["block", "kind", "index", "metric", "value", "per_window"]).sample(
            frac=1, random_state=1
        ),
        seconds=0.1,
    )


def trace(figure: go.Figure, name: str):
    (found,) = [one for one in figure.data if one.name == name]
    return found


def texts(figure: go.Figure) -> list[str]:
    return [one.text for one in figure.layout.annotations]


def test_a_curve_runs_through_every_site_in_order_of_depth():
    line = trace(depth.entropy_curve(analysis_of(DIP), "bucket"), "mean over windows")
    assert list(line.x) == [-1 + step / 2 for step in range(13)]
    assert list(line.y)[::2] == DIP
    assert line.y[1] == pytest.approx(8.25)
    assert [label.split("<br>")[0] for label in line.customdata][:4] == [
        "<b>embed</b>",
        "<b>attn.0</b>",
        "<b>layer.0</b>",
        "<b>attn.1</b>",
    ]


def test_hover_names_the_site_its_value_with_the_unit_and_the_windows():
    line = trace(depth.entropy_curve(analysis_of(DIP), "bucket"), "mean over windows")
    assert line.customdata[6] == "<b>layer.2</b><br>2.00 nats<br>windows: 1.50 to 2.50"


def test_level_layer_leaves_out_the_sites_between():
    line = trace(depth.entropy_curve(analysis_of(DIP), "bucket", level="layer"), "mean over windows")
    assert list(line.x) == [-1, 0, 1, 2, 3, 4, 5]
    assert list(line.y) == DIP


def test_the_band_goes_from_the_lowest_to_the_highest_window():
    figure = depth.entropy_curve(analysis_of(DIP), "bucket", level="layer")
    band = trace(figure, depth.BAND_NAME)
    assert list(band.y[:7]) == [value + SPREAD for value in DIP]
    assert list(band.y[7:]) == [value - SPREAD for value in DIP[::-1]]
    assert list(band.x[:7]) == list(band.x[7:])[::-1]


def test_one_window_has_no_band():
    figure = depth.entropy_curve(analysis_of(DIP, spread=(0.0,)), "bucket")
    assert [one.name for one in figure.data if one.fill == "toself"] == []


def test_stages_meet_at_the_turning_point():
    figure = depth.entropy_curve(analysis_of(DIP), "bucket")
    first, second = (shape for shape in figure.layout.shapes if shape.type == "rect")
    (line,) = (shape for shape in figure.layout.shapes if shape.type == "line")
    assert first.x1 == second.x0 == line.x0 == line.x1 == 2
    assert first.x0 < -1
    assert second.x1 > 5
    assert first.fillcolor != second.fillcolor
    mark = trace(figure, "turning point")
    assert (list(mark.x), list(mark.y)) == ([2], [2.0])
    assert set(texts(figure)) == {*depth.STAGE_NAMES, "turning point: layer 2"}


@pytest.mark.parametrize(
    ("curve", "where"),
    [
        (RISE, "embedding"),
        ([5.0, 1.0, 2.0, 3.0, 4.0, 6.0, 7.0], "first layer"),
        (FALL, "last layer"),
    ],
)
def test_no_stages_where_the_minimum_lies_at_an_end(curve, where):
    analysis = analysis_of(curve)
    figure = depth.entropy_curve(analysis, "bucket")
    assert not figure.layout.shapes
    assert not set(texts(figure)) & set(depth.STAGE_NAMES)
    found = stages(analysis, "bucket")
    assert (found.two, found.lowest_at) == (False, where)
    assert reading.sentence(analysis, "bucket", ("attn",)).startswith("No two stages: ")
    assert reading.headline(analysis, ("bucket", "cosine")) == "Bucket entropy shows no two stages here."


def test_what_is_said_of_a_metric_with_options_names_them():
    turns, flat = analysis_of(DIP, metric="knn(k=5)"), analysis_of(RISE, metric="knn(k=5)")
    assert reading.headline(turns, ("knn(k=5)",)) == "KNN entropy (k = 5) turns at layer 2."
    assert reading.headline(flat, ("knn(k=5)",)) == "KNN entropy (k = 5) shows no two stages here."
    assert theme.metric_colour("knn(k=5)") == theme.metric_colour("knn") != theme.GREY
    assert set(tables.block_table(turns, ["knn(k=5)", "cosine"], ["mlp"])["unit"]) == {"nats", "1 - cosine"}


def test_bars_carry_every_blocks_increase_in_its_kinds_colour():
    analysis = analysis_of(DIP)
    figure = depth.entropy_increase_bars(analysis, "bucket", ("attn", "mlp"))
    assert [bar.name for bar in figure.data] == ["Attention", "MLP"]
    attention, mlp = figure.data
    steps = np.diff(DIP)
    assert list(attention.x) == list(range(6))
    assert list(attention.y) == pytest.approx(list(0.25 * steps))
    assert list(mlp.y) == pytest.approx(list(0.75 * steps))
    assert attention.marker.color == theme.KIND_COLOURS["attn"]
    assert mlp.marker.color == theme.KIND_COLOURS["mlp"]
    assert mlp.customdata[0] == "<b>mlp.0</b><br>−2.25 nats<br>windows: −2.75 to −1.75"
    assert attention.customdata[3].startswith("<b>attn.3</b><br>+0.7500 nats")
    assert figure.layout.yaxis.title.text == "Entropy increase (nats)"


def test_all_bars_share_one_scale():
    figure = depth.entropy_increase_bars(analysis_of(DIP), "bucket", ("layer", "attn", "mlp"))
    ranges = {axis.range for axis in figure.select_yaxes()}
    assert len(ranges) == 1
    low, high = ranges.pop()
    assert low < -3.0
    assert high > 3.0
    # They are zoomed together; an axis that is to match itself makes plotly.js complain.
    assert [axis.matches for axis in figure.select_yaxes()] == [None, "y", "y"]


LONG = [0.0, 500.0, *(500.0 + step for step in range(1, 20))]  # the first layer adds 500 nats, each other one


def test_a_bar_that_would_flatten_the_others_is_cut_and_named():
    analysis = analysis_of(LONG, spread=(0.0,))
    figure = depth.entropy_increase_bars(analysis, "bucket", ("layer",))
    _, high = figure.layout.yaxis.range
    assert 1.0 < high < 2.0
    assert figure.data[0].y[0] == 500.0
    assert "+500.0" in texts(figure)
    whole = depth.entropy_increase_bars(analysis, "bucket", ("layer",), cut=False)
    assert whole.layout.yaxis.range[1] > 500.0
    assert "+500.0" not in texts(whole)


def test_similar_bars_are_not_cut():
    figure = depth.entropy_increase_bars(analysis_of(DIP, spread=(0.0,)), "bucket", ("layer",))
    assert texts(figure) == ["<b>Layer</b>"]


def test_importance_and_similarity_add_up_to_one():
    analysis = analysis_of(DIP)
    importance = depth.importance_bars(analysis, "cosine", ("mlp",)).data[0]
    similarity = depth.importance_bars(analysis, "cosine", ("mlp",), complement=True).data[0]
    assert list(importance.y) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert list(np.add(importance.y, similarity.y)) == pytest.approx([1.0] * 6)
    assert importance.customdata[1].startswith("<b>mlp.1</b><br>0.2000 importance")
    assert similarity.customdata[1].startswith("<b>mlp.1</b><br>0.8000 similarity")


def test_curve_and_bars_line_up():
    analysis = analysis_of(DIP)
    curve = depth.entropy_curve(analysis, "bucket")
    bars = depth.entropy_increase_bars(analysis, "bucket", ("attn",))
    assert curve.layout.xaxis.range == bars.layout.xaxis.range
    assert curve.layout.margin.l == bars.layout.margin.l


def test_axes_name_their_units():
    curve = depth.entropy_curve(analysis_of(DIP), "bucket")
    assert curve.layout.yaxis.title.text == "Entropy (nats)"
    assert curve.layout.xaxis.title.text == "Layer"


def test_the_sentence_tells_the_turning_point_and_the_least_of_stage_two():
    said = reading.sentence(analysis_of(DIP), "bucket", ("layer",))
    assert said == (
        "Entropy is lowest after layer 2, the turning point (the same in all 3 windows). "
        "Of the blocks after it, layer.5 (+1.00), layer.4 (+2.00) and layer.3 (+3.00) add least."
    )


def test_the_sentence_owns_up_when_windows_disagree():
    analysis = analysis_of(DIP)
    rows = analysis.sites
    # One window's curve has its minimum two layers later than the mean's.
    rows["per_window"] = [
        (*values[:2], -9.0) if site == "layer.4" else values
        for site, values in zip(rows["site"], rows["per_window"], strict=True)
    ]
    assert "(layer 2 to 4 in single windows)" in reading.sentence(analysis, "bucket", ("layer",))


def test_without_stages_every_block_counts_as_least():
    lowest = reading.lowest_blocks(analysis_of(FALL), "bucket", ("mlp",), count=2)
    assert list(lowest["value"]) == [-0.75, -0.75]
    assert set(lowest["kind"]) == {"mlp"}


def test_importance_names_the_blocks_that_change_least():
    said = reading.sentence(
        analysis_of(DIP, importance=[0.5, 0.01, 0.4, 0.03, 0.02, 0.6]), "cosine", ("attn",)
    )
    assert said == (
        "The blocks that change their input least are attn.1 (0.0100), attn.4 (0.0200) and attn.3 (0.0300)."
    )


@pytest.mark.parametrize(
    ("value", "sign", "shown"),
    [
        (1587.2, True, "+1,587"),
        (-552.84, True, "−552.8"),
        (0.00012, False, "0.0001"),
        (-0.00001, True, "+0.0000"),
        (3.0, False, "3.00"),
    ],
)
def test_numbers_for_the_screen(value, sign, shown):
    assert number(value, sign=sign) == shown


def test_tables_for_files_have_a_column_a_window_and_a_unit():
    analysis = analysis_of(DIP)
    sites = tables.site_table(analysis, ("bucket",))
    assert list(sites.columns) == [
        *("site", "depth", "metric", "unit", "value"),
        *("window_1", "window_2", "window_3"),
    ]
    assert len(sites) == 13
    row = sites.set_index("site").loc["layer.2"]
    assert (row["unit"], row["value"], row["window_1"], row["window_3"]) == ("nats", 2.0, 1.5, 2.5)
    blocks = tables.block_table(analysis, ("bucket", "cosine"), ("attn",))
    assert len(blocks) == 12
    assert set(blocks["unit"]) == {"nats", "1 - cosine"}
    assert set(blocks["kind"]) == {"attn"}


def test_a_pruned_curve_lies_over_the_dense_one_and_marks_what_is_dropped():
    dense = analysis_of(DIP)
    pruned = replace(analysis_of([9.0, 6.0, 6.0, 3.0, 2.5, 7.0, 8.5]), drop=PruneSet.parse("layer.1,mlp.4"))
    figure = depth.pruned_curve(dense, pruned, "bucket")
    mine, theirs = trace(figure, "pruned"), trace(figure, "dense")
    assert list(mine.x) == list(theirs.x) == [-1 + site / 2 for site in range(13)]
    by_depth = pruned.sites[pruned.sites["metric"] == "bucket"].sort_values("depth")
    assert list(mine.y) == list(by_depth["value"])
    marked = trace(figure, "dropped block")
    assert list(marked.x) == [0.5, 1.0, 4.0]  # attn.1, layer.1 and, after mlp.4, layer.4
    assert (trace(figure, "turning point").x[0], trace(figure, "turning point, pruned").x[0]) == (2, 3)
    low, high = figure.layout.yaxis.range
    assert low <= min(by_depth["value"])
    assert max(by_depth["value"]) <= high
    change = trace(depth.entropy_change(dense, pruned, "bucket"), "change")
    assert list(change.x) == list(mine.x)
    assert list(change.y) == pytest.approx(
        [after - before for before, after in zip(theirs.y, mine.y, strict=True)]
    )
    layers_alone = depth.pruned_curve(dense, pruned, "bucket", level="layer")
    assert list(trace(layers_alone, "pruned").x) == list(range(-1, 6))


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (
            DIP,
            [9.0, 6.0, 4.0, 4.0, 3.0, 7.0, 8.5],
            "and 8.00 in the dense model (+0.5000). The turning point moves from layer 2 to 3.",
        ),
        (DIP, DIP, "The turning point stays where it is."),
        (DIP, RISE, "The turning point at layer 2 is gone."),
        (RISE, DIP, "A turning point appears at layer 2."),
        (RISE, FALL, "At the end of the stream entropy is 1.00 nats, and 7.00 in the dense model (−6.00)."),
    ],
)
def test_what_dropping_does_to_a_curve_is_said(before, after, says):
    pruned = replace(analysis_of(after), drop=PruneSet.parse("attn.3"))
    assert reading.pruned_sentence(analysis_of(before), pruned, "bucket").endswith(says)
    unclaimed = reading.pruned_sentence(analysis_of(before), pruned, "bucket", turns=False)
    assert "turning point" not in unclaimed
    lowest = [np.argmin(curve[1:]) for curve in (after, before)]
    if min(after) < after[0] and min(before) < before[0]:
        assert unclaimed.endswith(
            f" It is lowest after layer {lowest[0]}, and after layer {lowest[1]} in the dense model."
        )
    else:
        assert "at the embedding" in unclaimed
