"""Charts and sentences about massive tokens: they claim no turning point that such tokens make."""

from dataclasses import replace

import pandas as pd
import pytest

from entviz.blocks import PruneSet
from entviz.comparison.massive.changes import changes
from entviz.figures import massive, reading
from tests.figures.test_depth import DIP, FALL, RISE, analysis_of

COLUMNS = ["window", "position", "token_id", "text", "ratio", "first", "last"]
FIRST = pd.DataFrame(
    [(window, 0, 5, "The", 900.0 + window, "layer.2", "layer.4") for window in range(3)], columns=COLUMNS
)
OTHERS = pd.DataFrame([(0, 0, 5, "The", 20.0, "embed", "embed"), (2, 7, 9, " of", 30.0, "embed", "embed")])
OTHERS.columns = COLUMNS
NONE = FIRST[:0]
LATER = [9.0, 6.0, 4.0, 5.0, 3.0, 7.0, 8.0]  # lowest after layer 3


def with_all(curve, tokens=FIRST):
    return replace(analysis_of(curve), massive=tokens)


def without(curve, tokens=FIRST):
    return replace(analysis_of(curve), massive=tokens, without_massive=True)


def traces(figure):
    return {trace.name: trace for trace in figure.data}


def test_a_turning_point_that_one_token_makes_is_called_that():
    said = massive.headline(with_all(DIP), without(RISE), ("bucket", "cosine"))
    assert said == (
        "The turning point of bucket entropy at layer 2 is made by one token, the first of each window (up to 902 × "
        "the median norm). Without it no two stages are left."
    )
    assert "turns at" not in said


def test_one_that_moves_says_where_to_and_one_that_stays_is_claimed():
    assert massive.headline(with_all(DIP), without(LATER), ("bucket",)).endswith(
        "Without it the curve turns at layer 3."
    )
    assert massive.headline(with_all(DIP), without(DIP), ("bucket",)) == "Bucket entropy turns at layer 2."
    said = massive.headline(with_all(RISE), without(DIP), ("bucket",))
    assert said.startswith("Bucket entropy turns at layer 2 without one token")


def test_others_are_counted():
    said = massive.headline(with_all(DIP, OTHERS), without(RISE, OTHERS), ("bucket",))
    assert "the first token of 1 of 3 windows and 1 other token of 1 of 3 windows (up to 30 ×" in said
    assert said.endswith("Without them no two stages are left.")


@pytest.mark.parametrize("tokens", [NONE, None])
def test_where_no_token_is_massive_or_none_was_looked_for_nothing_is_said(tokens):
    analysis = with_all(DIP, tokens)
    assert massive.headline(analysis, None, ("bucket",)) == reading.headline(analysis, ("bucket",))
    assert massive.sentence(analysis, None, "bucket", ("attn",)) == reading.sentence(
        analysis, "bucket", ("attn",)
    )
    assert massive.turns(analysis, None, "bucket")


@pytest.mark.parametrize(("measuring", "state"), [(True, "is being measured"), (False, "was not measured")])
def test_until_it_is_known_no_turning_point_is_claimed(measuring, state):
    analysis = with_all(DIP)
    for said in (
        massive.headline(analysis, None, ("bucket",), measuring=measuring),
        massive.said(analysis, None, "bucket", ("attn",), measuring=measuring),
    ):
        assert "turns at layer" not in said
        assert "lowest after layer 2" in said
        assert state in said
    assert not massive.turns(analysis, None, "bucket")
    assert massive.headline(with_all(RISE), None, ("bucket",), measuring=measuring) == reading.headline(
        analysis_of(RISE), ("bucket",)
    )


def test_a_chart_with_a_turning_point_of_theirs_has_no_stages():
    figure = massive.curve(with_all(DIP), without(RISE), "bucket")
    assert not [shape for shape in figure.layout.shapes if shape.type == "rect"]
    assert [note.text for note in figure.layout.annotations] == ["lowest after layer 2"]
    firm = massive.curve(with_all(DIP), without(DIP), "bucket")
    assert len([shape for shape in firm.layout.shapes if shape.type == "rect"]) == 2


def test_both_curves_are_drawn_to_scale():
    figure = massive.curve(without(RISE), with_all([value - 100 for value in DIP]), "bucket")
    found = traces(figure)
    assert list(found["without massive tokens"].y)[::2] == RISE
    assert list(found["all tokens"].y)[::2] == [value - 100 for value in DIP]
    assert list(found["turning point, all tokens"].x) == [2]
    low, high = figure.layout.yaxis.range
    assert low < 2 - 100
    assert high > 7
    assert "<b>layer.2</b><br>−98.00 nats with all tokens" in found["all tokens"].customdata
    whole = massive.curve(without(RISE), with_all(DIP), "bucket", level="layer")
    assert list(traces(whole)["all tokens"].y) == DIP


def test_the_sentence_without_them_says_what_that_changes():
    said = massive.said(without(RISE), with_all(DIP), "bucket", ("attn",))
    assert "No two stages" in said
    assert "With all tokens it turns at layer 2." in said
    same = massive.said(without(FALL), with_all(FALL), "bucket", ("attn",))
    assert "With all tokens it is the same." in same


def test_what_is_chosen_is_the_lowest_scores_of_each():
    """EntroDrop leaves the first two layers and the last alone: of six, three are left, and two are chosen."""
    plain = with_all([0.0, 1.0, 2.0, 2.1, 2.3, 5.0, 6.0])
    bare = without([0.0, 1.0, 2.0, 5.0, 5.1, 5.3, 6.0])
    found = changes(plain, bare)
    assert found["bucket"].chosen == PruneSet.parse("attn.2,attn.3")
    assert found["bucket"].chosen_without == PruneSet.parse("attn.3,attn.4")
    assert found["bucket"].in_common == 1
    assert found["cosine"].stages is None
    assert (
        found["cosine"].chosen
        == found["cosine"].chosen_without
        == PruneSet.parse("attn.0,attn.1,attn.2,attn.3")
    )
    table = massive.table(plain, bare, ("bucket", "cosine"))
    assert list(table["in common"]) == ["1 of 2", "4 of 4"]
    assert list(table["dropped first, without"]) == ["attn.3,attn.4", "attn.0,attn.1,attn.2,attn.3"]
    said = massive.said(bare, plain, "bucket", ("attn",))
    assert said.endswith(
        "EntroDrop drops attn.3,attn.4 first, and with all tokens attn.2,attn.3: 1 of 2 attentions in common."
    )
