"""Where it hurts, both ways: the text by one dropped block, and one token by the blocks that cost it."""

import json

import numpy as np
import pytest

import entviz
from entviz.blocks import PruneSet
from entviz.figures import token_damages as drawn
from entviz.text.passages import passages
from pages.parts.prune import token_damage
from tests.app.conftest import figures, look_until, settle, words

JOB = f"background.{token_damage.PLACE}"


@pytest.fixture
def app(open_app):
    """The page with two dropped blocks, once their costs are measured."""
    app = open_app("prune", drop="attn.5,mlp.20")
    settle(app)
    look_until(app, lambda: _is_measured(app), lambda: _is_measured(app))
    assert not app.exception
    return app.run()


def _is_measured(app):
    return JOB in app.session_state and app.session_state[JOB][1].finished


def html_of(app):
    """The text as the browser gets it."""
    for component in app.get("bidi_component"):
        data = json.loads(component.proto.mixed.json or component.proto.json or "{}")
        if "html" in data:
            return data
    raise AssertionError("there is no text")


def test_a_block_s_tokens_and_a_token_s_blocks(app, smollm2):
    found = app.session_state[JOB][1].result
    windows = entviz.windows_from_text(
        passages()["news"].text, smollm2.tokenizer, windows=2, window_length=64
    )
    whole = entviz.evaluate(smollm2, windows, PruneSet.parse("attn.5,mlp.20"), dtype="auto").token_nll
    back = entviz.evaluate(smollm2, windows, PruneSet.parse("attn.5"), dtype="auto").token_nll
    np.testing.assert_allclose(found.of("mlp.20"), whole - back, atol=0.15)
    assert abs((found.of("mlp.20") - (whole - back)).mean()) < 0.01

    assert "mlp.20 put back" not in html_of(app)["html"]
    assert "Click a token" in words(app)
    app.selectbox(key=token_damage.BLOCK).set_value("mlp.20").run()
    assert html_of(app)["html"].count("mlp.20 put back") == 2 * 63
    assert "Dropping mlp.20 costs" in words(app).replace("\\", "")

    window, place = np.unravel_index(found.of("mlp.20").argmax(), whole.shape)
    about = app.session_state[JOB][0]
    app.session_state["prune.token"] = token_damage._Token(about, int(window), int(place) + 1)
    app.run()
    assert html_of(app)["chosen"] == f"{window + 1}.{place + 2}"
    rows = found.at(int(window), int(place) + 1)
    said = words(app).replace("\\", "")
    assert f"(window {window + 1}, token {place + 2})" in said
    assert f"{rows['block'][0]} costs it most" in said
    bars = [figure for figure in figures(app) if "Cost to this token" in json.dumps(figure["layout"])]
    assert bars[0]["data"][0]["y"] == list(rows["block"])[::-1]
    assert (
        drawn.token_bars(found, int(window), int(place) + 1).data[0].x.tolist() == rows["cost"][::-1].tolist()
    )

    app.query_params["text"] = "law"
    app.session_state["view"] = app.session_state["view"] | {"text_name": "law"}
    app.run()
    assert f"(window {window + 1}, token {place + 2})" not in words(app), "a token is of one text"


@pytest.mark.parametrize("said", [None, 7, "", "1", "1.x", "0.5", "1.99999999", {"a": 1}])
def test_what_a_browser_of_ours_would_not_say_chooses_nothing(said, monkeypatch):
    state = {token_damage._KEY: type("State", (), {"chosen": said})()}
    monkeypatch.setattr(token_damage.st, "session_state", state)
    token_damage._take(None)
    assert state["prune.token"] is None
