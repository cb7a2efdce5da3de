"""The Prune page on the real default model: every way to tick blocks, and numbers that belong to the set shown."""

import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import entviz
from entviz.blocks import PruneSet
from entviz.criteria import rank
from entviz.decoder import precision
from entviz.export.recipe import Recipe
from entviz.figures import costs
from entviz.text.passages import passages
from entviz.words.phrases import listed
from pages.parts.shared import selection
from tests.app.conftest import figures, settle, words

SETTINGS = {"prune.new_tokens": 3, "prune.prompt": "Once upon a time"}


@pytest.fixture(scope="module")
def windows(smollm2):
    return entviz.windows_from_text(passages()["news"].text, smollm2.tokenizer, windows=2, window_length=64)


@pytest.fixture
def open_page(open_app):
    """Opens the Prune page at a link and waits for everything on it."""

    def open_at(**link):
        app = open_app(**link)
        for name, value in SETTINGS.items():
            app.session_state[name] = value
        app.switch_page("pages/prune.py")
        return settle(app.run())

    return open_at


def cards(app):
    """title -> (value, change, dense's)"""
    return {
        card.label: (card.value, card.delta, card.proto.delta_description.removeprefix("dense "))
        for card in app.metric
        if card.label != "Reading speed"  # which no two timings have the same
    }


def expected(smollm2, windows, drop):
    evaluation = entviz.evaluate(smollm2, windows, PruneSet.parse(drop), dtype="auto")
    return {card.title: (card.value, card.change, card.dense) for card in costs.cards(evaluation)}


def bench_of(app):
    """The data that the browser draws the bench from."""
    return component_with(app, "cells")


def component_with(app, name):
    """The data of the one component that has a field of this name."""
    every = [json.loads(one.proto.mixed.json or one.proto.json) for one in app.get("bidi_component")]
    (found,) = [data for data in every if name in data]
    return found


def dropped(app):
    return set(bench_of(app)["dropped"])


def test_the_bench_and_dense_numbers_are_there_without_a_click(open_page, smollm2, windows):
    app = open_page()
    assert len(bench_of(app)["cells"]) == 90
    # Measured damage follows in the background.
    assert [one["name"] for one in bench_of(app)["bars"] if one["name"] != "damage"] == ["increase", "cosine"]
    assert not dropped(app)
    assert cards(app) == expected(smollm2, windows, "")
    said = words(app)
    assert "Nothing dropped" in said
    dtype = precision.resolved("auto", smollm2.device)
    assert f"SmolLM2 135M Instruct on the news passage, 2 windows of 64 tokens, {dtype}" in said
    assert "drop" not in app.query_params


def test_the_lowest_are_those_of_the_ranking_and_the_numbers_those_of_the_engine(open_page, smollm2, windows):
    app = open_page()
    ranking = entviz.rank(smollm2, windows, "entrodrop", estimator="knn", level="attn", budget=3)
    app.number_input(key="prune.count").set_value(3).run()
    app.button(key="prune.lowest").click().run()
    settle(app)
    drop = str(ranking.drop)
    assert app.query_params["drop"] == drop
    assert app.code[0].value == drop or app.code[1].value == drop
    assert cards(app) == expected(smollm2, windows, drop)
    assert dropped(app) == set(drop.split(","))
    assert listed(drop.split(",")).replace(".", "\\.") in words(app)


def test_an_estimator_ranks_with_its_options_which_are_in_the_link(open_page, smollm2, windows):
    app = open_page(options="renyi(alpha=2)")  # measured along, in the same pass
    app.number_input(key="prune.knn.k").set_value(3).run()
    settle(app)
    assert app.query_params["options"] == "knn(k=3),renyi(alpha=2)"
    app.button(key="prune.lowest").click().run()
    settle(app)
    ranking = entviz.rank(smollm2, windows, "entrodrop", estimator="knn(k=3)", level="attn", budget=4)
    assert app.query_params["drop"] == str(ranking.drop)


def test_undo_invert_and_clear(open_page):
    app = open_page(drop="attn.3,mlp.5")
    app.button(key="prune.invert").click().run()
    inverted = PruneSet.parse(app.query_params["drop"])
    assert inverted.attention == frozenset(range(30)) - {3}
    assert inverted.mlp == {5}
    app.button(key="prune.invert").click().run()
    assert app.query_params["drop"] == "attn.3,mlp.5"
    app.button(key="prune.clear").click().run()
    assert "drop" not in app.query_params
    for wanted in ("attn.3,mlp.5", str(inverted), "attn.3,mlp.5"):
        app.button(key="prune.undo_button").click().run()
        assert app.query_params["drop"] == wanted
    assert app.button(key="prune.undo_button").disabled


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("attn.5,head.3", "'head.3' is not a block"),
        ("attn.30", "attn.30 does not exist: the model's layers are 0 to 29"),
        (",".join(f"layer.{i}" for i in range(30)), "This drops all 30 layers"),
        ("<img src=x>", "is not a block"),
    ],
)
def test_a_text_that_is_no_prune_set_gives_a_sentence_and_changes_nothing(open_page, text, sentence):
    app = open_page(drop="attn.3")
    before = cards(app)
    app.text_input(key="prune.text").set_value(text)
    app.button(key="prune.use").click().run()
    (error,) = app.error
    assert sentence in error.value.replace("\\", "")
    assert "stays as it was" in error.value.replace("\\", "")
    assert app.query_params["drop"] == "attn.3"
    assert app.text_input(key="prune.text").value == text  # to be corrected
    assert cards(app) == before
    app.text_input(key="prune.text").set_value(" attn.4 ; attn.3 ")
    app.button(key="prune.use").click().run()
    assert not app.error
    assert app.query_params["drop"] == "attn.3,attn.4"
    assert dropped(app) == {"attn.3", "attn.4"}


def test_a_link_opens_pruned(open_page, smollm2, windows):
    app = open_page(drop="layer.20,attn.25")
    assert cards(app) == expected(smollm2, windows, "layer.20,attn.25")
    assert dropped(app) == {"attn.20", "mlp.20", "attn.25"}


def test_blocks_that_the_model_lacks_are_named_and_can_be_taken_out(open_page):
    app = open_page(drop="attn.3,layer.99")
    (warning,) = app.warning
    assert "it has no layer.99" in warning.value.replace("\\", "")
    assert app.query_params["drop"] == "attn.3,layer.99"  # nothing is lost
    app.button(key="prune.foreign").click().run()
    assert app.query_params["drop"] == "attn.3"
    assert not app.warning


def test_a_recipe_is_read_and_a_bad_one_changes_nothing(open_page):
    app = open_page(drop="attn.3")
    recipe = Recipe(PruneSet.parse("mlp.7,layer.9"), model="smollm2-135m").to_bytes()
    app.file_uploader(key="prune.recipe").set_value(("recipe.json", recipe, "application/json")).run()
    assert app.query_params["drop"] == "mlp.7,layer.9"
    spoiled = json.dumps({"drop": ["attn.1"]}).encode()
    app.file_uploader(key="prune.recipe").set_value(("other.json", spoiled, "application/json")).run()
    assert app.error
    assert app.query_params["drop"] == "mlp.7,layer.9"


def test_too_short_a_text_keeps_the_numbers_and_says_whose_they_are(open_page):
    app = open_page(drop="attn.3")
    before = cards(app)
    app.selectbox(key="pick.text").set_value(selection.TYPED).run()
    assert "There is no text yet" in words(app)
    assert cards(app) == before
    app.text_area(key="pick.typed_text").set_value("Only a few words.").run()
    settle(app)
    assert any("64" in error.value for error in app.error)
    assert cards(app) == before
    assert "the earlier result: SmolLM2 135M Instruct on the news passage" in words(app)


def test_evaluations_run_in_the_fastest_type_and_say_how_far_it_is_from_float32(
    open_page, smollm2, windows, monkeypatch
):
    monkeypatch.setattr(precision, "_known", {precision._name(smollm2.device): 2.0})
    app = settle(open_page(drop="attn.3,mlp.1"))
    rough = entviz.evaluate(smollm2, windows, PruneSet.parse("attn.3,mlp.1"), dtype="bfloat16")
    exact = entviz.evaluate(smollm2, windows, PruneSet.parse("attn.3,mlp.1"))
    assert costs.difference(rough, exact) in words(app)
    assert "tokens, bfloat16" in words(app)
    assert cards(app)["Weight memory"][2] == "269.0 MB"
    app.toggle(key="prune.float32").set_value(True).run()
    settle(app)
    assert "tokens, float32" in words(app)
    assert "bfloat16 instead" not in words(app)
    assert (
        cards(app)["Perplexity"][0] == {card.title: card.value for card in costs.cards(exact)}["Perplexity"]
    )


def test_every_criterion_is_ranked_and_ticks_the_number_asked_for(open_page):
    app = open_page()
    for criterion, level in (("cosine", "mlp"), ("last", "attn"), ("angular-distance", "layer")):
        app.selectbox(key="prune.criterion").set_value(criterion).run()
        app.button_group(key="prune.level").set_value(level).run()
        app.number_input(key="prune.count").set_value(2).run()
        settle(app)
        app.button(key="prune.lowest").click().run()
        settle(app)
        blocks = list(PruneSet.parse(app.query_params["drop"]))
        assert [block.kind for block in blocks] == [level] * 2
        assert not app.error


def test_a_criterion_can_measure_again_after_each_drop(open_page, smollm2, windows):
    app = open_page()
    app.selectbox(key="prune.criterion").set_value("cosine").run()
    app.button_group(key="prune.level").set_value("mlp").run()
    app.toggle(key="prune.iterative").set_value(True).run()
    app.number_input(key="prune.count").set_value(3).run()
    settle(app)
    app.button(key="prune.lowest").click().run()
    settle(app)
    alone = rank(smollm2, windows, "cosine", level="mlp", budget=3, iterative=True)
    assert PruneSet.parse(app.query_params["drop"]) == alone.drop
    assert app.number_input(key="prune.count").max > 3, "more can be asked for"
    others = [cell for cell in bench_of(app)["cells"] if not cell["block"].startswith("mlp")]
    assert all(cell["colour"] for cell in others), "measured along, once"
    assert not any("rank" in said for cell in others for said in cell["said"])


def test_the_tokens_and_files_are_the_evaluations(open_page, smollm2, windows):
    app = open_page(drop="attn.3,mlp.8")
    evaluation = entviz.evaluate(smollm2, windows, PruneSet.parse("attn.3,mlp.8"), dtype="auto")
    difference = figures(app)[-1]["data"][0]
    increase = (evaluation.token_nll - evaluation.dense_token_nll)[0]
    assert difference["y"][1:64] == pytest.approx(list(increase), abs=1e-4)
    html = component_with(app, "html")["html"]
    assert "harbour" in html
    assert html.count("<span title=") == 2 * 63
    files = {button.proto.label: button for button in app.get("download_button")}
    assert {"Numbers as CSV", "Tokens as CSV"} <= set(files)


def test_both_continuations_are_those_of_the_engine(open_page, smollm2):
    app = open_page(drop="attn.3,layer.20,layer.21,layer.22")
    html = [element.proto.body for element in app.get("html")]
    for drop in ("", "attn.3,layer.20,layer.21,layer.22"):
        made = entviz.generate(smollm2, "Once upon a time", PruneSet.parse(drop), max_new_tokens=3)
        last = smollm2.tokenizer.decode(made.token_ids[-1:]).strip()
        assert any(last in one for one in html)
    assert "tokens a second" not in words(app), "a speed is shown only if both were timed in turn"


def _clicking() -> None:
    """A page that counts clicks as the grid's callback does: all those that the browser still repeats."""
    import streamlit as st

    from entviz.blocks import Block
    from pages.parts.prune import ticks

    ticks.know_layers(4)
    messages = st.session_state.get("messages", [])
    for message in messages:
        ticks.toggle_numbered([(number, Block.parse(block)) for number, block in message])
    st.session_state["messages"] = []
    st.write(ticks.text(), ticks.counted(), ticks.message())


def test_repeated_clicks_count_once_and_none_is_lost():
    app = AppTest.from_function(_clicking, default_timeout=30)
    first, second, third = (1, "attn.1"), (2, "layer.2"), (3, "attn.2")
    app.session_state["messages"] = [[first], [first, second], [first, second], [second, third]]
    app.run()
    assert app.session_state["view"]["drop"] == "attn.1,mlp.2"
    assert app.session_state["prune.past"].counted == 3
    assert app.session_state["prune.past"].sets == ["", "attn.1", "attn.1,layer.2"]


def test_a_click_that_would_leave_nothing_is_counted_but_not_made():
    app = AppTest.from_function(_clicking, default_timeout=30)
    app.session_state["messages"] = [[(i + 1, f"layer.{i}") for i in range(3)], [(4, "layer.3")]]
    app.run()
    assert app.session_state["view"]["drop"] == "layer.0,layer.1,layer.2"
    assert app.session_state["prune.past"].counted == 4  # so that the browser stops repeating it
    assert "This drops all 4 layers" in app.session_state["prune.message"]


def lines_of(app):
    """The lines of the entropy curve by name."""
    return {line["name"]: line for line in bench_of(app)["curve"]["lines"]}


def test_the_curve_is_the_pruned_models_over_the_dense_ones(open_page, smollm2, windows):
    app = open_page()
    assert "pruned" not in lines_of(app)
    app = open_page(drop="attn.5,layer.7")
    drawn = lines_of(app)
    dense = entviz.analyze(smollm2, windows, ("knn",))
    pruned = entviz.analyze(smollm2, windows, ("knn",), drop=PruneSet.parse("attn.5,layer.7"))
    for name, analysis in (("dense", dense), ("pruned", pruned)):
        values = [point["value"] for point in drawn[name]["points"]]
        assert values == pytest.approx(list(analysis.sites["value"]), rel=1e-4)
    assert drawn["pruned"]["dropped"] == ["attn.5", "attn.7", "mlp.7"]
    assert bench_of(app)["alt"].startswith("Without attn.5 and layer.7: At the end of the stream entropy is")
    app.button(key="prune.clear").click().run()
    assert "pruned" not in lines_of(settle(app))


def test_with_nothing_dropped_no_chart_is_empty(open_page):
    app = open_page()
    charts = figures(app)
    assert charts
    for chart in charts:
        assert any(np.any(np.nan_to_num(np.array(trace["y"], dtype=float))) for trace in chart["data"])


def test_perplexity_and_parameters_come_first(open_page):
    assert [card.label for card in open_page().metric][:3] == ["Perplexity", "Parameters", "Reading speed"]


def test_the_reading_speed_is_that_of_the_prune_set_in_view_or_none(open_page):
    app = open_page()
    speed = {card.label: card for card in app.metric}["Reading speed"]
    assert (speed.value, speed.delta) == ("–", "")
    app = open_page(drop="layer.10,layer.11,layer.12")
    speed = {card.label: card for card in app.metric}["Reading speed"]
    assert float(speed.value.removesuffix(" ×")) > 0.2
    app.button(key="prune.clear").click().run()
    assert {card.label: card.value for card in app.metric}["Reading speed"] == "–"
