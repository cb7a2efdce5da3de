"""The Runs page on a database of an earlier version: every kind of result opens on its page, with its options."""

import shutil

import pytest
from streamlit.testing.v1 import AppTest

from entviz.runtime import runtime
from entviz.studies import stored_studies
from entviz.studies.registry import open_store, part_kinds
from tests.app.conftest import APP, words
from tests.app.test_runs import tick
from tests.studies.conftest import EARLIER, LATER

OPENED = {
    "analysis": {},
    "evaluation": {"prune.float32": True},
    "comparison": {"compare.tab": "Criteria"},
    "generation": {"prune.prompt": "Once upon", "prune.new_tokens": 5},
    "ranking": {},
    "score": {},
    "contrast": {"compare.tab": "Two prune sets", "compare.set.a": "attn.1", "compare.set.b": "mlp.0"},
    "trust": {"compare.tab": "Which to trust", "trust.level": "attn+mlp"},
    "interactions": {"compare.tab": "Interactions", "interactions.level": "mlp"},
    "angles": {"compare.tab": "Criteria"},
}


@pytest.fixture
def earlier(tmp_path, monkeypatch):
    shutil.copy(EARLIER, tmp_path / "runs.sqlite")
    store = open_store(f"sqlite:///{tmp_path}/runs.sqlite")
    monkeypatch.setattr(runtime(), "store", store)
    yield store
    store.close()


def test_every_kind_is_tried():
    assert set(OPENED) == set(stored_studies()) - LATER


@pytest.mark.parametrize("kind", OPENED)
def test_it_opens(earlier, kind):
    runs = earlier.runs(without=part_kinds())
    row = max(
        number for number, run in enumerate(runs) if run.kind == kind
    )  # the oldest, which a page asked for
    app = AppTest.from_file(APP, default_timeout=60)
    app.switch_page("pages/runs.py")
    app.run()
    assert not app.exception
    tick(app, row)
    assert app.button(key="runs.open").label == f"Open on {stored_studies()[kind].page.name.capitalize()}"
    tick(app, row, press="runs.open")
    for key, value in OPENED[kind].items():
        assert app.session_state[key] == value
    assert "The model **somebody/tiny** is asked for" in words(app).replace("\\", "")
