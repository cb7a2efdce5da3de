"""The grid of blocks: every block at its place, with its score, and told apart without colour."""

import numpy as np
import pandas as pd
import pytest

from entviz.analysis import Analysis
from entviz.blocks import Block, PruneSet
from entviz.figures import grid, theme
from entviz.pruning.ranking import ranked, score_table

LAYERS = 24


def analysis() -> Analysis:
    """An analysis in which attn.i gains i nats and mlp.i loses i nats."""
    rows = [
        (f"{kind}.{i}", kind, i, "knn", sign * i, (sign * i,))
        for i in range(LAYERS)
        for kind, sign in (("layer", 0), ("attn", 1), ("mlp", -1))
    ]
    blocks = pd.DataFrame(rows, columns=["block", "kind", "index", "metric", "value", "per_window"])
    return Analysis("tiny", LAYERS, 1, 64, pd.DataFrame(), blocks, 0.0)


def ranking(protect=(2, 1)):
    scores = {f"attn.{i}": float((7 * i) % LAYERS) for i in range(LAYERS)}
    return ranked("entrodrop", score_table(LAYERS, "attn", scores, protect), 0)


def cells(drop=""):
    return grid.table([ranking()], analysis(), "knn", PruneSet.parse(drop), "nats")


def points(figure):
    """The block names at each place of the traces that hear clicks: name -> (x, y, trace)."""
    return {
        data[0]: (x, y, trace)
        for trace in figure.data
        if trace.customdata is not None
        for x, y, data in zip(trace.x, trace.y, trace.customdata, strict=True)
    }


def test_the_table_has_the_rankings_scores_and_the_analysis_increases():
    rows = cells("layer.5").set_index("block")
    assert len(rows) == 3 * LAYERS
    order = [str(block) for block in ranking().order]
    assert rows.loc["attn.9", "score"] == (7 * 9) % LAYERS
    assert rows.loc["attn.9", "rank"] == order.index("attn.9") + 1
    assert rows.loc["attn.9", "of"] == len(order) == LAYERS - 3
    assert rows.loc["mlp.9", "increase"] == -9
    assert np.isnan(rows.loc["mlp.9", "score"])
    assert rows.loc[["attn.0", "attn.1", "attn.23"], "protected"].all()
    assert not rows.loc["attn.2", "protected"]
    assert list(rows.index[rows["dropped"]]) == ["layer.5", "attn.5", "mlp.5"]


def test_every_block_is_one_point_and_no_two_share_a_place():
    found = points(grid.board(cells("attn.7,layer.11"), score_title="x"))
    assert {Block.parse(name) for name in found} == {Block.parse(name) for name in cells()["block"]}
    assert len({(x, y) for x, y, _ in found.values()}) == 3 * LAYERS


@pytest.mark.parametrize("layers", [1, 4, 10, 11, 30, 32, 80])
def test_bands_are_at_most_ten_wide_and_hold_all_layers_in_order(layers):
    table = pd.DataFrame(
        [
            (f"{kind}.{i}", kind, i, float(i), 0, 0, False, 0.0, False, "")
            for i in range(layers)
            for kind in ("layer", "attn", "mlp")
        ],
        columns=[
            *("block", "kind", "index", "score", "rank", "of", "protected", "increase", "dropped"),
            "unit",
        ],
    )
    found = points(grid.board(table, score_title="x"))
    places = [(found[f"attn.{i}"][1], found[f"attn.{i}"][0]) for i in range(layers)]
    assert places == sorted(places)
    assert max(x for x, _, _ in found.values()) < grid.BAND
    assert len(found) == 3 * layers


def test_dropped_cells_are_crossed_out_and_protected_ones_dotted():
    figure = grid.board(cells("attn.7"), score_title="x")
    found = points(figure)
    assert found["attn.7"][2].name == "dropped"
    assert found["attn.8"][2].name == "kept"
    crosses = [trace for trace in figure.data if trace.marker.symbol == "x-thin"]
    assert [(trace.x[0], trace.y[0]) for trace in crosses if len(trace.x)] == [found["attn.7"][:2]]
    (dots,) = [trace for trace in figure.data if trace.name == "protected"]
    assert set(zip(dots.x, dots.y, strict=True)) == {
        found[name][:2] for name in ("attn.0", "attn.1", "attn.23")
    }
    assert dots.hoverinfo == crosses[0].hoverinfo == "skip"  # a click meets the cell under the sign


def test_cells_without_a_score_are_hollow_and_grey():
    trace = points(grid.board(cells(), score_title="x"))["mlp.3"][2]
    assert trace.marker.symbol == "square-open"
    assert trace.marker.color == theme.GREY


def test_the_colours_are_the_scores_and_the_bar_names_them():
    figure = grid.board(cells(), score_title="Entropy increase (nats)", ranked=("attn",))
    kept = points(figure)["attn.9"][2]
    by_name = {data[0]: colour for data, colour in zip(kept.customdata, kept.marker.color, strict=True)}
    assert by_name["attn.9"] == (7 * 9) % LAYERS
    (bar,) = [trace for trace in figure.data if trace.marker.showscale]
    assert bar.marker.colorbar.title.text == "Entropy increase (nats)"
    assert (bar.marker.cmin, bar.marker.cmax) == (kept.marker.cmin, kept.marker.cmax)


def test_the_pointer_is_told_score_rank_increase_and_state():
    figure = grid.board(cells("attn.9"), score_title="x")
    said = {
        data[0]: data[1] for trace in figure.data if trace.customdata is not None for data in trace.customdata
    }
    order = [str(block) for block in ranking().order]
    place = order.index("attn.9") + 1
    assert said["attn.9"] == (
        f"<b>attn.9</b> · dropped<br>score +15.00 nats<br>rank {place} of {len(order)} (1 goes first)"
        "<br>entropy increase +9.00 nats"
    )
    assert "protected" in said["attn.0"]
    assert "score" not in said["mlp.9"]
