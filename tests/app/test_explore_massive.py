"""Explore and tokens with massive activations, on the real default model: what it says by itself, and the switch."""

import pytest

import entviz
from entviz.figures import massive
from entviz.text.passages import passages
from tests.app.conftest import figures, settle, words
from tests.app.test_explore import line


@pytest.fixture(scope="module")
def windows(smollm2):
    return entviz.windows_from_text(passages()["news"].text, smollm2.tokenizer, windows=2, window_length=64)


@pytest.fixture(scope="module")
def both(smollm2, windows):
    """With all tokens, and without massive ones."""
    plain = entviz.analyze(smollm2, windows)
    return plain, entviz.analyze(smollm2, windows, without_massive=True, dense=plain)


def test_the_first_screen_claims_no_turning_point_that_one_token_makes(open_app, both):
    plain, _ = both
    app = settle(open_app())
    said = words(app)
    turn = plain.turning_point("bucket")
    assert f"The turning point of bucket entropy at layer {turn} is made by one token" in said
    assert "turns at layer" not in said
    (note,) = [note["text"] for note in figures(app)[0]["layout"]["annotations"]]
    assert note == f"lowest after layer {turn}"
    assert app.toggle(key="explore.massive.switch").value is False
    assert "massive" not in app.query_params


def test_the_switch_draws_both_names_the_tokens_and_says_what_changes(open_app, both):
    plain, without = both
    app = settle(open_app())
    app.toggle(key="explore.massive.switch").set_value(True).run()
    assert not app.get("progress"), "it was measured already"
    assert app.query_params["massive"] == "no"
    for chart, metric in ((figures(app)[0], "bucket"), (figures(app)[2], "knn")):
        for analysis, name in ((without, "without massive tokens"), (plain, "all tokens")):
            sites = analysis.sites[analysis.sites["metric"] == metric].sort_values("depth")
            assert line(chart, name)["y"] == pytest.approx(list(sites["value"]), rel=1e-4), (metric, name)
    rows = without.blocks[(without.blocks["metric"] == "cosine") & (without.blocks["kind"] == "mlp")]
    (bars,) = [trace for trace in figures(app)[4]["data"] if trace["name"] == "MLP"]
    assert bars["y"] == pytest.approx(list(rows.sort_values("index")["value"]), rel=1e-3, abs=1e-3)
    said = words(app).replace("\\", "")
    assert "Left out: the first token of 2 of 2 windows" in said
    assert f"With all tokens it turns at layer {plain.turning_point('bucket')}." in said
    changes = app.dataframe[0].value
    assert changes.equals(massive.table(plain, without, ("bucket", "knn", "cosine")))
    tokens = app.dataframe[-1].value
    assert list(tokens["position"]) == [0, 0]
    assert "massive" in app.query_params
    reopened = settle(open_app(massive="no"))
    assert figures(reopened) == figures(app)


def test_importance_alone_needs_no_second_measuring(open_app):
    app = settle(open_app(text="law", metrics="cosine"))
    assert "working.explore.massive" not in app.session_state
    app.toggle(key="explore.massive.switch").set_value(True).run()
    settle(app)
    assert app.session_state["working.explore.massive"].result.without_massive


def test_too_few_tokens_without_them_is_said_and_the_curve_stays(open_app):
    app = settle(open_app(metrics="bucket,knn", options="knn(k=63)"))
    assert "has 63 without its massive tokens" in words(app).replace("\\", "")
    assert "was not measured" in words(app)
    assert len(figures(app)) == 4


def test_back_takes_the_switch_back(open_app):
    app = settle(open_app(metrics="cosine", massive="no"))
    assert app.toggle(key="explore.massive.switch").value is True
    assert (
        settle(open_app(metrics="cosine", massive="yes")).toggle(key="explore.massive.switch").value is False
    )
