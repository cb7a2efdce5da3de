"""The grid of blocks: every block at its place, with its score, and told apart without colour vision."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from entviz.analysis import Analysis
from entviz.blocks import PruneSet
from entviz.criteria.ranking import ranking_by_score, score_table
from entviz.figures import grid
from entviz.words.phrases import number

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
    return ranking_by_score("entrodrop", score_table(LAYERS, "attn", scores, protect), 0)


def cells(drop=""):
    return grid.table([ranking()], analysis(), "knn", PruneSet.parse(drop), "nats")


def drawn(drop="", **options):
    return grid.picture(cells(drop), **options)


def by_block(picture):
    return {cell["block"]: cell for cell in picture["cells"]}


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


def test_every_block_is_one_cell_in_order():
    assert [cell["block"] for cell in drawn("attn.7,layer.11")["cells"]] == list(cells()["block"])


@pytest.mark.parametrize(("layers", "across"), [(1, 1), (4, 4), (10, 10), (11, 6), (12, 6), (21, 7), (24, 8)])
def test_bands_are_at_most_ten_wide_and_as_even_as_can_be(layers, across):
    table = cells()
    picture = grid.picture(table[table["index"] < layers])
    assert (picture["layers"], picture["across"]) == (layers, across)


def test_what_is_dropped_is_said_by_attention_and_mlp():
    assert drawn("attn.7,layer.11")["dropped"] == ["attn.7", "attn.11", "mlp.11"]
    assert drawn()["dropped"] == []


def test_protected_cells_are_marked_and_those_without_a_score_have_no_colour():
    found = by_block(drawn())
    assert [name for name, cell in found.items() if cell["shielded"]] == ["attn.0", "attn.1", "attn.23"]
    assert {name.split(".")[0] for name, cell in found.items() if cell["colour"] is None} == {"layer", "mlp"}
    assert (found["mlp.3"]["score"], found["attn.9"]["score"]) == ("", "+15.00")


def test_colours_rise_with_the_score_between_the_ends():
    picture = drawn(ranked=("attn",))
    free = cells()
    free = free[(free["kind"] == "attn") & ~free["protected"]]
    low, high = np.quantile(free["score"], [0.05, 0.95])
    assert (picture["low"], picture["high"]) == pytest.approx((low, high))
    lightness = {}
    for row in free.itertuples():
        red, green, blue = (int(part) for part in re.findall(r"\d+", by_block(picture)[row.block]["colour"]))
        lightness[row.score] = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    inside = [lightness[score] for score in sorted(lightness) if low <= score <= high]
    assert inside == sorted(inside)
    assert inside[-1] - inside[0] > 120  # far apart without colour too


def test_the_colours_are_for_the_ranked_kinds_to_be_told_apart():
    table = cells()
    table.loc[table["kind"] == "mlp", "score"] = 1000.0
    assert grid.picture(table, ranked=("attn",))["high"] < 30
    assert grid.picture(table, ranked=("mlp",))["low"] > 900


def test_other_kinds_are_told_apart_on_scales_of_their_own_and_that_is_said():
    table = cells()
    attention, mlp = table["kind"] == "attn", table["kind"] == "mlp"
    table.loc[mlp, "score"] = 1000 + table.loc[attention, "score"].to_numpy()
    table.loc[mlp, "protected"] = table.loc[attention, "protected"].to_numpy()
    picture = grid.picture(table, ranked=("attn",))
    found = {block: cell["colour"] for block, cell in by_block(picture).items()}
    for layer in range(LAYERS):
        assert found[f"mlp.{layer}"] == found[f"attn.{layer}"], "in the same order, on its own scale"
    together = by_block(grid.picture(table, ranked=("attn", "mlp")))
    shared = {together[f"{kind}.{layer}"]["colour"] for kind in ("attn", "mlp") for layer in range(LAYERS)}
    assert len({together[f"mlp.{layer}"]["colour"] for layer in range(LAYERS)}) < len(shared)
    assert together["mlp.9"]["colour"] != found["mlp.9"]
    assert "on scales of their own" in grid.colour_bar(picture, "x")
    assert "on scales of their own" not in grid.colour_bar(drawn(ranked=("attn",)), "x")
    assert "dark goes first" in grid.colour_bar(drawn(ranked=("attn",)), "x")


def test_without_scores_there_is_no_colour_and_no_bar():
    table = cells().assign(score=np.nan)
    picture = grid.picture(table)
    assert picture["low"] is None
    assert all(cell["colour"] is None for cell in picture["cells"])
    assert grid.colour_bar(picture, "x") == ""


def test_the_bar_names_the_score_and_its_ends():
    html = grid.colour_bar(drawn(ranked=("attn",)), "Entropy increase <nats>")
    assert "Entropy increase &lt;nats&gt;" in html
    low, high = (number(drawn(ranked=("attn",))[end]) for end in ("low", "high"))
    assert f"≤ {low}<" in html
    assert f"≥ {high}<" in html


def test_the_pointer_is_told_score_rank_and_increase():
    found = by_block(drawn("attn.9"))
    order = [str(block) for block in ranking().order]
    assert found["attn.9"]["said"] == [
        "score +15.00 nats",
        f"rank {order.index('attn.9') + 1} of {len(order)} (1 goes first)",
        "entropy increase +9.00 nats",
    ]
    assert "protected: the criterion leaves it alone" in found["attn.0"]["said"]
    assert found["mlp.9"]["said"] == ["entropy increase −9.00 nats"]


def test_a_picture_is_plain_data():
    assert json.loads(json.dumps(drawn("layer.3"))) == drawn("layer.3")
