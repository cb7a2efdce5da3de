"""A model that is not on this machine is downloaded only after a person has agreed, however it was chosen."""

import pytest

from entviz.models import CATALOG
from pages.parts.shared import selection
from tests.app.conftest import settle, words
from tests.models.files import saved, snapshot

AWAY = "smollm2-360m"


def plain(app):
    return words(app).replace("\\", "")


@pytest.mark.parametrize("name", [AWAY, "someone/unheard-of"])
def test_a_link_starts_no_download(open_app, fetches, name):
    app = settle(open_app(model=name))
    title = CATALOG[name].title if name in CATALOG else name
    assert f"The model **{title}** is asked for. Load it?" in plain(app)
    assert "downloaded from the Hugging Face hub" in plain(app)
    assert "SmolLM2 135M Instruct" in plain(app)
    assert app.query_params["model"] == name
    assert fetches == []
    app.button(key="link.load").click().run()
    settle(app)
    assert fetches == [CATALOG[name].hub_id if name in CATALOG else name]
    assert any("no network in this test" in error.value for error in app.error)


def test_a_model_that_is_not_wanted_stays_where_it_is(open_app, fetches):
    app = settle(open_app(model=AWAY))
    app.button(key="link.keep").click().run()
    assert app.query_params["model"] == selection.DEFAULT_MODEL
    assert "is asked for" not in plain(app)
    assert fetches == []


def test_a_path_in_a_link_is_not_opened_unasked(open_app, fetches, tmp_path):
    saved(tmp_path / "tiny")
    app = settle(open_app(model=str(tmp_path / "tiny")))
    assert "is asked for" in plain(app)
    assert app.session_state["view"]["asked_model"] == str(tmp_path / "tiny")


def test_a_downloaded_model_is_taken_without_a_question(open_app, fetches, tmp_path):
    saved(snapshot(tmp_path / "hub", CATALOG["gpt2"].hub_id), "gpt2")
    app = open_app(model="gpt2")
    assert "is asked for" not in plain(app)
    assert app.session_state["view"]["model"] == "gpt2"
