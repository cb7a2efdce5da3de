"""Your way there, on the Prune page: each prune set that was measured is a point to go back to."""

import dataclasses
import io
from types import SimpleNamespace

import pandas as pd
import pytest

import entviz
from entviz.blocks import PruneSet
from entviz.comparison.trail import Stop, Trail
from entviz.figures.trail import POINTS
from entviz.statistics import Interval
from entviz.text.passages import passages
from pages.parts.prune import trail
from tests.app.conftest import SPEED_ROUNDS, figures, settle, words

SECONDS = 300  # far more than it takes on an idle machine
SETTINGS = {"prune.new_tokens": 3, "prune.prompt": "Once upon a time"}


@pytest.fixture
def open_page(open_app):
    def open_at(**link):
        app = open_app(**link)
        for name, value in SETTINGS.items():
            app.session_state[name] = value
        app.switch_page("pages/prune.py")
        return settle(app.run(), SECONDS)

    return open_at


def points(app):
    """The trace of the prune sets that were tried; None while there is no chart of them."""
    found = [trace for chart in figures(app) for trace in chart["data"] if trace.get("name") == POINTS]
    return found[0] if found else None


def paste(app, drop):
    app.text_input(key="prune.text").set_value(drop)
    app.button(key="prune.use").click().run()
    return settle(app, SECONDS)


def test_the_points_are_the_prune_sets_tried_with_the_numbers_of_the_engine(open_page, smollm2):
    app = open_page()
    assert points(app) is None
    assert "Every prune set that you try becomes a point here" in words(app)
    for drop in ("attn.5", "attn.5,mlp.20"):
        paste(app, drop)
    shown = points(app)
    windows = entviz.windows_from_text(
        passages()["news"].text, smollm2.tokenizer, windows=2, window_length=64
    )
    wanted = [
        entviz.evaluate(smollm2, windows, PruneSet.parse(drop), dtype="auto")
        for drop in ("", "attn.5", "attn.5,mlp.20")
    ]
    assert shown["y"] == pytest.approx([one.perplexity for one in wanted], rel=1e-6)
    assert shown["x"] == pytest.approx([100 * one.parameters_pruned / one.parameters_dense for one in wanted])
    app.segmented_control(key="prune.trail.quality").set_value("kl").run()
    assert points(app)["y"] == pytest.approx([one.kl for one in wanted], abs=1e-7)


def test_undo_walks_back_along_it_and_adds_no_point(open_page):
    app = open_page(drop="attn.5")
    paste(app, "attn.5,attn.6")
    app.button(key="prune.undo_button").click().run()
    settle(app, SECONDS)
    assert app.query_params["drop"] == "attn.5"
    assert len(points(app)["x"]) == 2
    assert "(you are here)" in points(app)["customdata"][0][1]
    said = f"× as fast as dense (middle half of {SPEED_ROUNDS} rounds: "
    assert said in words(app), "timed in turn, with its spread"


def test_a_clicked_point_is_gone_back_to_and_a_point_of_a_curve_or_of_another_text_is_not(monkeypatch):
    way, none = Trail(), Interval(0.0, 0.0, 0.0)
    for drop, basis in (("attn.1", "law"), ("", "news"), ("attn.5", "news"), ("attn.5,attn.6", "news")):
        way = way.visited(Stop(PruneSet.parse(drop), basis, 30.0, 20.0, none, none, 1.0, 10, 1.0))
    state = {trail.PLACE: way}
    monkeypatch.setattr(trail, "st", SimpleNamespace(session_state=state))
    plain = Stop(PruneSet.parse("attn.7"), "news", 30.0, 20.0, none, none, 1.0, 10, 1.0)
    mended = dataclasses.replace(
        plain, repair="Bias", repaired_by=(("repair", "bias"), ("repair_own", False))
    )
    state[trail.PLACE] = state[trail.PLACE].visited(mended).visited(way.stops[1])
    gone = []
    monkeypatch.setattr(trail.ticks, "put", lambda drop, **choices: gone.append((str(drop), choices)))
    for customdata in (
        [3, "label"],
        [5, "a repaired one"],
        [2, "label"],
        [1, "of another text"],
        [99, "forgotten"],
        "a curve's",
        None,
    ):
        state["chart"] = {"selection": {"points": [{"customdata": customdata}]}}
        trail._go_back("chart")
    state["chart"] = {"selection": {"points": []}}  # a selection that was taken back
    trail._go_back("chart")
    repaired = {"repair": "bias", "repair_own": False}
    assert gone == [("attn.5", {"repair": ""}), ("attn.7", repaired), ("", {})]


def test_two_pinned_sets_are_compared_and_all_of_it_is_a_file(open_page, smollm2):
    app = open_page(drop="attn.5")
    paste(app, "attn.20")
    app.selectbox(key=f"{trail.PLACE}.pin.A").set_value(1)
    app.selectbox(key=f"{trail.PLACE}.pin.B").set_value(2).run()
    settle(app, SECONDS)
    windows = entviz.windows_from_text(
        passages()["news"].text, smollm2.tokenizer, windows=2, window_length=64
    )
    first, second = (
        entviz.evaluate(smollm2, windows, PruneSet.parse(drop), dtype="auto")
        for drop in ("attn.5", "attn.20")
    )
    said = words(app).replace("\\", "")
    assert f"Perplexity {first.perplexity:.4g} in A, {second.perplexity:.4g} in B" in said
    assert "Only A drops attn.5; only B drops attn.20." in said
    assert points(app)["text"] == ["A", "B"]


def test_points_of_another_text_are_not_mixed_in(open_page):
    app = open_page(drop="attn.5")
    paste(app, "attn.6")
    app.session_state["view"] = {**app.session_state["view"], "text_name": "law"}
    settle(app.run(), SECONDS)
    assert points(app) is None
    assert "2 prune sets of another model, text or number type not shown" in words(app)
    paste(app, "attn.7")
    assert len(points(app)["x"]) == 2
    table = pd.read_csv(io.StringIO(trail._file(app.session_state[trail.PLACE]).to_csv(index=False)))
    assert list(table["drop"]) == ["attn.5", "attn.6", "attn.6", "attn.7"]
    assert list(table["number"]) == [1, 2, 3, 4]
    assert table["text"].nunique() == 2
