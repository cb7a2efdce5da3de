"""The Runs page says what is wrong with the database, and which results are kept in memory until it works again."""

import pytest
from streamlit.testing.v1 import AppTest

from entviz.runtime import runtime
from entviz.studies.registry import open_store
from tests.app.conftest import APP
from tests.app.conftest import words as escaped
from tests.store.results import put


@pytest.fixture
def kept_at(monkeypatch):
    """Makes the runtime keep results in a store of the test's own."""
    made = []

    def keep(**options):
        made.append(open_store(**options))
        monkeypatch.setattr(runtime(), "store", made[-1])
        return made[-1]

    yield keep
    for store in made:
        store.close()


def words(app):
    return escaped(app).replace("\\", "")


def opened():
    app = AppTest.from_file(APP, default_timeout=60)
    app.switch_page("pages/runs.py")
    app.run()
    assert not app.exception
    return app


def test_a_place_that_cannot_be_written_is_said_until_it_can(kept_at, tmp_path):
    url = f"sqlite:///{tmp_path}/later/runs.sqlite"
    store = kept_at(url=url, retry_seconds=0)
    app = opened()
    assert "the folder of" in words(app)
    assert "does not exist: create it" in words(app)
    assert "Runs from before are not listed until then" in words(app)
    assert "There are no runs yet" not in words(app)
    put(store, "k", description="Held in memory.")
    app.button(key="runs.again").click()
    app.run()
    assert len(app.dataframe[0].value) == 1
    (tmp_path / "later").mkdir()
    app.button(key="runs.again").click()
    app.run()
    app.run()
    assert len(app.dataframe[0].value) == 1
    assert "kept in memory only" not in words(app)
    store.close()
    assert [run.key for run in open_store(url).runs()] == ["k"], "it is in the database now"


def test_what_was_mended_is_said(kept_at, monkeypatch, tmp_path):
    monkeypatch.delenv("ENTVIZ_DATABASE")
    monkeypatch.setenv("ENTVIZ_CACHE", str(tmp_path))
    (tmp_path / "runs.sqlite").write_bytes(b"no database " * 1000)
    kept_at()
    app = opened()
    (aside,) = tmp_path.glob("runs.sqlite.damaged-*")
    assert aside.name.partition(".damaged-")[2] in words(app)
    assert "There are no runs yet" in words(app)
