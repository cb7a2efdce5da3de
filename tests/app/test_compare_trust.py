"""The tabs "Which to trust" and "Interactions" on a tiny model: they start on request and show right numbers."""

import json

import numpy as np
import pytest

import entviz
from entviz.comparison.interactions.interactions import interactions
from entviz.comparison.trust.trust import trust
from entviz.comparison.trust.verdict import verdict
from entviz.estimators import default_entropies
from entviz.runtime import runtime
from entviz.studies import JudgeCriteria, TextSample, study_of
from entviz.text.passages import passages
from tests.app.conftest import figures, settle, words
from tests.models.files import saved

LAYERS = 8
PARTS = {"trust": "Which to trust", "interactions": "Interactions"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deep")
    saved(folder, layers=LAYERS)
    return str(folder)


@pytest.fixture(scope="module")
def tiny(directory):
    return entviz.load(directory)


@pytest.fixture
def open_tab(open_app, directory):
    """Opens the Compare page at one of the two tabs, with the tiny model loaded."""

    def open_at(part, **link):
        app = open_app("compare", model=directory, **link)
        app.session_state["compare.tab"] = PARTS[part]
        return settle(app.button(key="link.load").click().run())

    return open_at


def windows_of(loaded, name):
    return entviz.windows_from_text(passages()[name].text, loaded.tokenizer, windows=2, window_length=64)


def charts(app, key):
    """The figures whose key starts so."""
    return [
        figure
        for figure, chart in zip(figures(app), app.get("plotly_chart"), strict=True)
        if key in chart.proto.id
    ]


def plain(text):
    return text.replace("\\", "")


def test_nothing_is_measured_until_the_button_is_pressed_and_the_estimate_is_there(open_tab, directory):
    app = open_tab("trust", text="news")
    assert not charts(app, "trust.")
    assert "8 blocks, each left out once: a few seconds here." in words(app)
    assert not runtime().knows(JudgeCriteria(TextSample(directory, passages()["news"].text, 2, 64), "attn"))


def test_the_verdict_and_the_charts_are_those_of_the_measured_damage(open_tab, tiny):
    app = open_tab("trust", text="story")
    app.button(key="compare.trust.start").click().run()
    settle(app)
    found = trust(tiny, windows_of(tiny, "story"), "attn")
    said = plain(words(app))
    for sentence in verdict(found):
        assert sentence in said
    assert "2 windows of 64 tokens" in said
    (bars,) = charts(app, "trust.correlations")
    wanted = found.correlations.query("scope == 'all' and damage == 'loss'")["spearman"]
    assert sorted(bars["data"][0]["x"]) == pytest.approx(sorted(wanted))
    dots = charts(app, "trust.scatter.cosine")[0]["data"][-1]
    damage = found.damage.set_index("block")["loss"].rank()
    assert dots["y"] == pytest.approx(damage.tolist())
    # Another measure of damage, scope and form need no new measuring.
    app.segmented_control(key="trust.damage").set_value("kl").run()
    app.toggle(key="trust.inner").set_value(True).run()
    app.toggle(key="trust.values").set_value(True).run()
    assert not app.get("progress")
    dots = charts(app, "trust.scatter.cosine")[0]["data"][-1]
    inner = found.damage[found.damage["inner"]]
    assert len(inner) == 5
    assert dots["y"] == pytest.approx(inner["kl"].tolist(), rel=1e-3)
    assert verdict(found, "inner", "kl")[0] in plain(words(app))


def test_entropies_are_picked_and_judged_with_their_options(open_tab, tiny, directory):
    app = open_tab("trust", text="dialogue")
    assert app.pills(key="trust.estimators").value == list(default_entropies())
    app.pills(key="trust.estimators").set_value([]).run()
    assert "Choose at least one entropy." in words(app)
    app.pills(key="trust.estimators").set_value(["matrix", "knn"]).run()
    app.number_input(key="trust.knn.k").set_value(5).run()
    assert app.query_params["options"] == "knn(k=5)"
    settle(app)
    app.button(key="compare.trust.start").click().run()
    settle(app)
    picked = ("knn(k=5)", "matrix")
    found = trust(tiny, windows_of(tiny, "dialogue"), "attn", estimators=picked)
    assert set(picked) < set(found.criteria)
    assert "bucket" not in found.criteria
    for sentence in verdict(found):
        assert sentence in plain(words(app))
    assert charts(app, "trust.scatter.matrix")
    assert not charts(app, "trust.scatter.bucket")
    sample = TextSample(directory, passages()["dialogue"].text, 2, 64)
    assert runtime().knows(JudgeCriteria(sample, "attn", picked))
    assert not runtime().knows(JudgeCriteria(sample, "attn", ("knn", "matrix")))


@pytest.mark.parametrize("part", PARTS)
def test_who_cancels_the_estimate_can_still_start(open_app, directory, busy, part):
    release = busy()
    app = open_app("compare", model=directory, text="medicine")
    app.session_state["compare.tab"] = PARTS[part]
    app.button(key="link.load").click().run()
    app.button(key=f"cancel.compare.{part}.plan").click().run()
    assert not app.get("progress")
    release.set()
    app.button(key=f"compare.{part}.start").click().run()
    settle(app)
    assert charts(app, f"{part}.")
    assert runtime().knows(study_of(part)(TextSample(directory, passages()["medicine"].text, 2, 64), "attn"))


def test_another_level_waits_for_its_own_start_and_keeps_what_was_shown(open_tab):
    app = open_tab("trust", text="story")
    if not charts(app, "trust."):
        app.button(key="compare.trust.start").click().run()
        settle(app)
    app.segmented_control(key="trust.level").set_value("mlp").run()
    settle(app)
    assert "This is the earlier result: attentions" in words(app)
    assert charts(app, "trust.correlations")
    app.button(key="compare.trust.start").click().run()
    settle(app)
    assert "Measured on MLPs of" in words(app)


def test_what_was_measured_before_is_there_at_once_in_another_session(open_tab):
    first = open_tab("interactions", text="law")
    first.button(key="compare.interactions.start").click().run()
    settle(first)
    (shown,) = charts(first, "interactions.map")
    again = open_tab("interactions", text="law")
    assert not again.get("progress")
    (other,) = charts(again, "interactions.map")
    assert other["data"][0]["z"] == shown["data"][0]["z"]


def test_the_heat_map_has_every_pair_and_its_scale_is_centred(open_tab, tiny):
    app = open_tab("interactions", text="code")
    assert "28 pairs, a few seconds here" in words(app)
    app.button(key="compare.interactions.start").click().run()
    settle(app)
    found = interactions(tiny, windows_of(tiny, "code"), "attn")
    (figure,) = charts(app, "interactions.map")
    cells = figure["data"][0]
    shown = np.array([[np.nan if cell is None else cell for cell in row] for row in cells["z"]], dtype=float)
    assert shown == pytest.approx(found.beyond("loss"), abs=1e-4, nan_ok=True)
    assert cells["zmin"] == -cells["zmax"] < 0
    texts = cells["customdata"]
    assert texts[2][2].startswith("<b>attn.2</b> alone")
    assert texts[1][5].startswith("<b>attn.1 and attn.5</b><br>together")
    assert json.dumps(cells["z"], allow_nan=False)
    app.segmented_control(key="interactions.damage").set_value("kl").run()
    assert not app.get("progress")
    assert charts(app, "interactions.map")[0]["data"][0]["z"] != cells["z"]


def test_a_text_too_short_says_so_and_offers_no_start(open_tab):
    app = open_tab("interactions")
    app.selectbox(key="pick.text").set_value("typed").run()
    assert "There is no text yet" in words(app)
    app.text_area(key="pick.typed_text").set_value("Too few words.").run()
    settle(app)
    (error,) = app.error
    assert "64" in error.value
    assert not [button for button in app.button if button.key == "compare.interactions.start"]
