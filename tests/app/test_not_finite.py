"""A model with a weight that is not a number: every page says so, draws no conclusion, and keeps what it showed."""

import pytest
import torch

from entviz.models.loaded import LoadedModel
from entviz.studies.registry import open_store
from pages.parts.shared import selection
from tests.app.conftest import figures, settle, words
from tests.models.files import tokenizer
from tests.tiny import WIDTH, build

LETTER = "z"  # whose embedding is not a number
CLEAN = "It was late, and the road went on between the fields without a light or a house. " * 4
SAID = f"{WIDTH} values of model.embed_tokens.weight are NaN or infinite"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("poisoned")
    model, letters = build("llama", layers=5), tokenizer()
    with torch.no_grad():
        model.model.embed_tokens.weight[letters(LETTER).input_ids[-1]] = torch.nan
    model.save_pretrained(path)
    letters.save_pretrained(path)
    LoadedModel.of(model).anatomy  # noqa: B018  not among the tokens by which a model is taken apart
    return str(path)


@pytest.fixture
def open_page(open_app, directory):
    """Opens a page on a text without the letter, or with it."""

    def open_at(page, text, accepted=lambda: None, **link):
        app = open_app(page, model=directory, **link)
        app.button(key="link.load").click().run()
        app.selectbox(key="pick.text").set_value(selection.TYPED).run()
        accepted()
        return read(app, text)

    return open_at


def read(app, text):
    app.text_area(key="pick.typed_text").set_value(text).run()
    return settle(app)


def poisoned(text):
    return text[:40] + LETTER + text[41:]


def numbers(app):
    return [(card.label, card.value, card.delta) for card in app.metric]


def said(app):
    return [error.value.replace("\\", "") for error in app.error]


def kept():
    store = open_store()
    try:
        return {run.key for run in store.runs(limit=200)}
    finally:
        store.close()


def test_explore_keeps_its_charts(open_page):
    app = open_page("explore", CLEAN, metrics="bucket,cosine")
    shown, before = figures(app), kept()
    assert shown
    read(app, poisoned(CLEAN))
    assert any(SAID in each for each in said(app))
    assert "This is the earlier result" in words(app)
    assert figures(app) == shown
    assert kept() == before


def test_prune_keeps_its_numbers(open_page):
    app = open_page("prune", CLEAN, drop="attn.1")
    shown, before = numbers(app), kept()
    assert shown
    read(app, poisoned(CLEAN))
    assert any(SAID in each for each in said(app))
    assert numbers(app) == shown
    assert kept() == before


@pytest.mark.parametrize("page", ["explore", "prune"])
def test_a_page_that_showed_nothing_shows_nothing(open_page, busy, page):
    # Until the link's model is accepted, the page asks for the default model's numbers. They do not come meanwhile, and
    # no other test measured windows of this length before.
    release = busy()
    app = open_page(page, poisoned(CLEAN + "So it was."), release.set, drop="attn.1", length="41")
    assert any(SAID in each for each in said(app))
    assert "nan" not in "".join(f"{value}{delta}" for _, value, delta in numbers(app)).lower()
    assert not figures(app)


@pytest.mark.parametrize("tab", ["Criteria by budgets", "Which to trust", "Interactions"])
def test_compare_says_it_and_has_no_verdict(open_app, directory, tab):
    app = open_app("compare", model=directory)
    app.session_state["compare.tab"] = tab
    app.button(key="link.load").click().run()
    app.selectbox(key="pick.text").set_value(selection.TYPED).run()
    read(app, poisoned(CLEAN) * 2)
    before = kept()
    if tab == "Criteria by budgets":  # the others say it already where they tell how long they would take
        app.button(key="compare.start").click().run()
        settle(app)
    assert any(SAID in each for each in said(app))
    assert not figures(app)
    assert kept() == before
