"""A page added to the registry is in the menu and at its address, and has the pickers that all pages share."""

import os

import pytest

from pages.parts.shared.page_list import FOLDER, PAGES, PageEntry
from tests.app.conftest import settle

SCRIPT = """
import streamlit as st
from pages.parts.shared import frame, selection

frame.require()
selection.current()
st.header("A page of a test")
st.text(f"{selection.get('windows')} windows of {selection.get('length')}, without {selection.get('drop')}")
"""


@pytest.fixture
def added(tmp_path):
    """The registry with one more line."""
    (tmp_path / "counted.py").write_text(SCRIPT)
    with PAGES.added(PageEntry("counted", "Counted", ":material/tag:", folder=tmp_path)) as entry:
        yield entry


@pytest.fixture
def menu(monkeypatch):
    """The pages of the last navigation, as title and address, those in the menu only."""
    import streamlit as st

    shown = []
    real = st.navigation

    def navigation(pages, **options):
        shown[:] = [(page.title, page.url_path) for page in pages if page.visibility == "visible"]
        return real(pages, **options)

    monkeypatch.setattr(st, "navigation", navigation)
    return shown


def test_it_is_in_the_menu_of_every_page(added, open_app, menu):
    settle(open_app("learn"))
    assert menu[-1] == ("Counted", "counted")
    assert [title for title, _ in menu] == [entry.title for entry in PAGES.values()]


def test_it_opens_at_its_address_with_the_pickers_and_the_link(added, open_app):
    here = open_app("learn")
    script = os.path.relpath(added.script.with_suffix(""), FOLDER)
    app = settle(open_app(script, drop="attn.5"))
    assert [header.value for header in app.header] == ["A page of a test"]
    assert [text.value for text in app.main.text] == ["2 windows of 64, without attn.5"]
    pickers = [widget.key for kind in ("selectbox", "number_input") for widget in app.sidebar.get(kind)]
    assert pickers
    assert pickers == [
        widget.key for kind in ("selectbox", "number_input") for widget in here.sidebar.get(kind)
    ]
    assert app.query_params["drop"] == "attn.5"


def test_every_page_has_a_script():
    assert [entry.name for entry in PAGES.values() if not entry.script.is_file()] == []
