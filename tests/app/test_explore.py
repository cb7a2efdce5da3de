"""The Explore page on the real default model: what it shows without a click, and how it handles odd input."""

import base64
import zlib

import numpy as np
import pytest
from streamlit.runtime.pages_manager import PagesManager

import entviz
from entviz.estimators import METRICS
from entviz.figures import reading
from entviz.runtime import runtime
from entviz.text.passages import passages
from pages.parts.shared import selection
from tests.app.conftest import figures, settle, words

DEFAULT_LINK = {
    "model": "smollm2-135m",
    "text": "news",
    "windows": "4",
    "length": "128",
    "metrics": "bucket,knn,cosine",
    "level": "layer,attn,mlp",
}


@pytest.fixture(scope="module")
def expected(smollm2):
    windows = entviz.windows_from_text(
        passages()["news"].text, smollm2.tokenizer, windows=2, window_length=64
    )
    return entviz.analyze(smollm2, windows)


def line(figure, name="mean over windows"):
    (found,) = [trace for trace in figure["data"] if trace.get("name") == name]
    return found


def test_the_first_chart_is_there_without_a_click_and_right(open_app, expected):
    app = settle(open_app())
    charts = figures(app)
    assert len(charts) == 5  # a curve and bars for two entropies, and importance
    for chart, metric in ((charts[0], "bucket"), (charts[2], "knn")):
        sites = expected.sites[expected.sites["metric"] == metric].sort_values("depth")
        assert line(chart)["y"] == pytest.approx(list(sites["value"]), rel=1e-4)
    blocks = expected.blocks
    for chart, metric in ((charts[1], "bucket"), (charts[3], "knn"), (charts[4], "cosine")):
        for trace, kind in zip(chart["data"], ("layer", "attn", "mlp"), strict=True):
            rows = blocks[(blocks["metric"] == metric) & (blocks["kind"] == kind)].sort_values("index")
            assert trace["y"] == pytest.approx(list(rows["value"]), rel=1e-3, abs=1e-3)
    said = words(app)
    assert "SmolLM2 135M Instruct" in said
    assert "2 windows of 64 tokens" in said
    assert f"turning point of bucket entropy at layer {expected.turning_point('bucket')}" in said


def test_fewer_and_more_metrics_change_the_charts_and_recompute_nothing(open_app):
    app = settle(open_app())
    before = app.session_state["working.explore"].result
    app.pills(key="explore.metrics").set_value(["renyi"]).run()
    assert not app.get("progress")
    assert len(figures(app)) == 2
    assert [heading.value for heading in app.subheader] == ["Rényi entropy"]
    assert app.session_state["working.explore"].result is before
    assert app.query_params["metrics"] == "renyi"


def test_a_level_shows_its_own_bars_and_sites(open_app):
    app = settle(open_app(metrics="bucket", level="layer"))
    curve, bars = figures(app)
    assert len(line(curve)["y"]) == 31
    assert [trace["name"] for trace in bars["data"]] == ["Layer"]
    app.pills(key="explore.level").set_value(["mlp", "attn"]).run()
    curve, bars = figures(app)
    assert len(line(curve)["y"]) == 61
    assert [trace["name"] for trace in bars["data"]] == ["Attention", "MLP"]


def test_nothing_chosen_says_so(open_app):
    app = settle(open_app())
    app.pills(key="explore.metrics").set_value([]).run()
    assert not app.exception
    assert "Choose at least one estimator" in words(app)


def test_similarity_is_one_minus_importance(open_app):
    app = settle(open_app(metrics="cosine", level="attn"))
    (importance,) = figures(app)
    app.toggle(key="explore.similarity").set_value(True).run()
    (similarity,) = figures(app)
    total = np.add(importance["data"][0]["y"], similarity["data"][0]["y"])
    assert total == pytest.approx(np.ones(30))


def test_no_text_gives_a_sentence_and_keeps_the_chart(open_app):
    app = settle(open_app())
    shown = figures(app)
    app.selectbox(key="pick.text").set_value(selection.TYPED).run()
    assert "There is no text yet" in words(app)
    assert "This is the earlier result" in words(app)
    assert figures(app) == shown
    app.text_area(key="pick.typed_text").set_value("   ").run()
    assert "There is no text yet" in words(app)
    assert figures(app) == shown


def test_too_short_a_text_gives_a_sentence_and_keeps_the_chart(open_app):
    app = settle(open_app())
    shown = figures(app)
    app.selectbox(key="pick.text").set_value(selection.TYPED).run()
    app.text_area(key="pick.typed_text").set_value("Only a few words.").run()
    settle(app)
    (error,) = app.error
    assert "64" in error.value
    assert figures(app) == shown


def test_typed_text_is_measured_and_travels_in_the_link(open_app, smollm2):
    text = passages()["law"].text[:1400]
    app = settle(open_app(metrics="bucket"))
    app.selectbox(key="pick.text").set_value(selection.TYPED).run()
    app.text_area(key="pick.typed_text").set_value(text).run()
    settle(app)
    windows = entviz.windows_from_text(text, smollm2.tokenizer, windows=2, window_length=64)
    analysis = entviz.analyze(smollm2, windows, ("bucket",))
    assert line(figures(app)[0])["y"] == pytest.approx(list(analysis.sites["value"]), rel=1e-4)
    reopened = open_app(metrics="bucket", text=app.query_params["text"])
    assert reopened.text_area(key="pick.typed_text").value == text
    assert figures(settle(reopened)) == figures(app)


def test_a_text_too_long_for_a_link_says_so(open_app):
    app = open_app()
    app.selectbox(key="pick.text").set_value(selection.TYPED).run()
    app.text_area(key="pick.typed_text").set_value("word " * 400).run()
    assert app.query_params["text"] == "own"
    assert any("longer" in warning.value for warning in app.sidebar.warning)
    reopened = settle(open_app(text="own"))
    assert "too long for it to carry" in words(reopened)
    assert figures(reopened)


def test_a_file_that_is_not_utf_8_gives_a_sentence_and_keeps_the_chart(open_app):
    app = settle(open_app())
    shown = figures(app)
    app.selectbox(key="pick.text").set_value(selection.UPLOADED).run()
    spoiled = "Das Café schließt früh. ".encode("cp1252") * 60
    app.file_uploader(key="pick.upload").set_value(("menu.txt", spoiled, "text/plain")).run()
    assert not app.exception
    (error,) = app.sidebar.error
    assert "UTF-8" in error.value.replace("\\", "")
    assert "cp1252" in error.value
    assert figures(app) == shown
    app.selectbox(key="pick.encoding").set_value("cp1252").run()
    settle(app)
    assert not app.sidebar.error
    assert figures(app) != shown


def test_an_uploaded_file_is_measured(open_app):
    app = settle(open_app(metrics="bucket"))
    shown = figures(app)
    app.selectbox(key="pick.text").set_value(selection.UPLOADED).run()
    text = passages()["code"].text
    app.file_uploader(key="pick.upload").set_value(("code.txt", text.encode(), "text/plain")).run()
    settle(app)
    uploaded = figures(app)
    assert uploaded != shown
    app.selectbox(key="pick.text").set_value("code").run()
    assert figures(settle(app)) == uploaded


def test_the_page_is_there_while_it_waits_and_keeps_the_last_chart(open_app, busy):
    release = busy()
    app = open_app(text="dialogue", metrics="bucket", length="96")
    assert app.get("progress")
    assert not figures(app)
    assert [heading.value for heading in app.header] == ["Entropy across depth"]
    release.set()
    shown = figures(settle(app))
    again = busy()
    app.number_input(key="pick.windows").set_value(1).run()
    assert app.get("progress")
    assert figures(app) == shown
    assert "This is the earlier result" in words(app)
    again.set()
    assert figures(settle(app)) != shown
    assert "1 window of 96 tokens" in words(app)


def test_what_was_stopped_stays_stopped_until_it_is_started_again(open_app, busy):
    release = busy()
    app = open_app(text="medicine", metrics="bucket", length="80")
    app.button(key="cancel.explore").click().run()
    assert "Stopped" in words(app)
    app.run()
    assert not app.get("progress")
    assert runtime().worker.unfinished == 1  # only the other's
    release.set()
    app.button(key="again.explore").click().run()
    assert len(figures(settle(app))) == 2


def test_the_frame_is_there_whichever_page_streamlit_starts_with(open_app, monkeypatch):
    app = settle(open_app())
    # The next run asks for the page by its own name, as the first browser does that opens its address.
    monkeypatch.setattr(PagesManager, "uses_pages_directory", None)
    app.run()
    assert [box.label for box in app.sidebar.selectbox] == ["Model", "Text"]
    assert [heading.value for heading in app.header] == ["Entropy across depth"]


def test_what_a_link_got_wrong_is_said_until_something_else_is_chosen(open_app):
    app = settle(open_app(text="nowhere"))
    assert "names a text that is not here" in words(app)
    app.pills(key="explore.metrics").set_value(["knn"]).run()
    assert "names a text" not in words(app)


BOMB = "~" + base64.urlsafe_b64encode(zlib.compress(b"a" * 50_000_000, 9)).decode().rstrip("=")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("model", "![x](http://elsewhere.example/x.png)", "neither a known name"),
        ("model", "a" * 5000, "neither a known name"),
        ("text", "../../etc/passwd", "names a text that is not here"),
        ("text", "~not base64 at all!", "damaged"),
        ("text", "~AAAA", "damaged"),
        ("text", BOMB, "longer than 1,500 characters"),
        ("windows", "-1", "whole number from 1 to 64"),
        ("windows", "1e3", "whole number from 1 to 64"),
        ("length", "99999999999999999999", "whole number from 32 to 1024"),
        ("length", "٣٢", "whole number from 32 to 1024"),
        ("metrics", "<script>alert(1)</script>", "estimators in the link"),
        ("level", "layer,head", "kinds of block in the link"),
        ("drop", "attn.5,layer", "prune set in the link"),
        ("drop", "attn.1," * 5000, "prune set in the link"),
    ],
)
def test_a_link_with_an_odd_value_gives_a_sentence_and_the_default(open_app, name, value, sentence):
    app = open_app(**{name: value})
    assert not app.exception
    (warning,) = app.warning
    assert sentence in warning.value.replace("\\", "")
    assert app.query_params.get(name) == DEFAULT_LINK.get(name)


def test_the_address_bar_says_what_is_shown(open_app):
    app = settle(open_app(text="story", metrics="knn,renyi", level="mlp", drop="mlp.3,attn.5"))
    assert app.query_params == {
        "model": "smollm2-135m",
        "text": "story",
        "windows": "2",
        "length": "64",
        "metrics": "knn,renyi",
        "level": "mlp",
        "drop": "mlp.3,attn.5",
    }
    assert [heading.value for heading in app.subheader] == ["KNN entropy", "Rényi entropy"]
    app.number_input(key="pick.windows").set_value(1).run()
    assert app.query_params["windows"] == "1"


def test_an_address_that_is_older_than_a_click_undoes_nothing(open_app):
    """A browser says where it was when the person clicked, be the address of the click before still on its way."""
    app = settle(open_app(metrics="bucket"))
    older = dict(app.query_params)
    app.selectbox(key="pick.text").set_value("law").run()
    app.query_params = older
    app.toggle(key="explore.full_scale").set_value(True).run()
    assert app.selectbox(key="pick.text").value == "law"
    assert app.query_params["text"] == "law"


def test_widgets_start_with_what_the_link_asks_for(open_app):
    """A browser that missed what the first run wrote starts with the defaults, and sends them back as choices."""
    app = open_app(text="story", windows="2", length="64", metrics="knn", level="mlp")
    assert app.number_input(key="pick.windows").proto.default == 2
    assert app.number_input(key="pick.length").proto.default == 64
    text = app.selectbox(key="pick.text").proto
    assert text.options[text.default] == passages()["story"].title
    metrics, kinds = (app.button_group(key=f"explore.{name}").proto for name in ("metrics", "level"))
    assert list(metrics.default) == [list(METRICS).index("knn")]
    assert list(kinds.default) == [selection.KINDS.index("mlp")]
    app = open_app(windows="3")
    app.session_state["view"] = {**app.session_state["view"], "windows": 5}
    assert app.run().number_input(key="pick.windows").proto.default == 5


def test_an_option_of_an_estimator_is_measured_with_shown_and_in_the_link(open_app, smollm2):
    app = settle(open_app(metrics="knn,cosine"))
    app.number_input(key="explore.knn.k").set_value(5).run()
    settle(app)
    assert app.query_params["options"] == "knn(k=5)"
    assert "KNN entropy (k = 5)" in [heading.value for heading in app.subheader]
    windows = entviz.windows_from_text(
        passages()["news"].text, smollm2.tokenizer, windows=2, window_length=64
    )
    analysis = entviz.analyze(smollm2, windows, ("knn(k=5)",))
    assert line(figures(app)[0])["y"] == pytest.approx(list(analysis.sites["value"]), rel=1e-4)
    assert f"**{reading.headline(analysis, analysis.metrics)}**" in words(app)
    reopened = settle(open_app(metrics="knn,cosine", options=app.query_params["options"]))
    assert figures(reopened) == figures(app)
    assert reopened.number_input(key="explore.knn.k").value == 5
    reopened.number_input(key="explore.knn.k").set_value(25).run()
    assert "options" not in reopened.query_params


def test_a_metric_in_the_link_may_have_its_options_beside_it(open_app):
    app = settle(open_app(metrics="renyi(alpha=2),cosine"))
    assert [heading.value for heading in app.subheader] == ["Rényi entropy (alpha = 2)", "Importance"]
    assert app.query_params["metrics"] == "renyi,cosine"
    assert app.query_params["options"] == "renyi(alpha=2)"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("knn(k=0)", "k must be a whole number from 1 to 65536, not 0"),
        ("knn(k=5", "unbalanced parenthesis"),
        ("knn(k=5),knn(k=6)", "twice"),
        (f"knn(k={'9' * 400})", "cannot be read"),
    ],
)
def test_options_in_a_link_that_cannot_be_read_are_said(open_app, options, said):
    app = open_app(options=options)
    assert any(said in warning.value.replace("\\", "") for warning in app.warning)
    assert app.number_input(key="explore.knn.k").value == 25


def test_too_many_neighbours_for_the_windows_give_a_sentence_and_keep_the_chart(open_app):
    app = settle(open_app())
    shown = figures(app)
    app.number_input(key="explore.knn.k").set_value(64).run()
    settle(app)
    (error,) = app.error
    assert "at least 65 tokens" in error.value.replace("\\", "")
    # What was not measured with the new option is left out until it is.
    assert [chart for chart in figures(app) if chart in shown] == figures(app)


def test_a_slow_metric_is_measured_once_it_is_picked(open_app):
    app = settle(open_app(metrics="bucket"))
    assert "matrix" not in app.session_state["working.explore"].result.metrics
    app.pills(key="explore.metrics").set_value(["bucket", "matrix"]).run()
    settle(app)
    assert [heading.value for heading in app.subheader] == ["Bucket entropy", "Matrix entropy"]
    assert len(figures(app)) == 4


def test_one_thing_to_do_is_to_drop_the_cheapest_attention_and_see_what_it_costs(open_app, expected):
    cosine = expected.blocks.query("metric == 'cosine' and kind == 'attn'")
    cheapest = cosine.loc[cosine["value"].idxmin(), "block"]
    app = settle(open_app())
    button = app.button(key="explore.suggestion")
    assert button.label == f"Drop {cheapest}: the cheapest attention by cosine"
    app = button.click().run()
    assert "Drop blocks, see the cost" in [one.value for one in app.header]
    assert f"Without {cheapest}" in words(app).replace("\\", "")


def test_with_something_dropped_nothing_more_is_suggested(open_app):
    app = settle(open_app(drop="attn.5"))
    assert "explore.suggestion" not in [button.key for button in app.button]
