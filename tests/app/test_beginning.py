"""The pages with a model whose tokenizer begins every text, and one whose tokenizer has tokens that the model lacks."""

import pytest

import entviz
from entviz.models import load
from entviz.runtime import runtime
from entviz.studies import TextSample
from entviz.studies.reporting import of_run
from entviz.text.passages import passages
from pages.parts.runs import opening
from pages.parts.shared import selection
from tests.app.conftest import settle, words
from tests.models.files import saved
from tests.runtime.asking import evaluation
from tests.text.tokenizers import adding, knowing_more

NEWS = passages()["news"].text
BEGINS = "Each window begins with <s>"
WITHOUT = "read without <s>"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The directory of a tiny model whose tokenizer puts ``<s>`` before a text and ``</s>`` after it."""
    directory = tmp_path_factory.mktemp("begins")
    saved(directory)
    adding("<s> $A </s>").save_pretrained(directory)
    return str(directory)


def opened(open_app, page, model, **link):
    """The page, once the person has agreed to load the model that the link names."""
    app = open_app(page, model=model, **link)
    app.button(key="link.load").click().run()
    return settle(app)


def said(app):
    """The page's words as a browser shows them."""
    return words(app).replace("\\", "")


def curve(app, metric="bucket"):
    sites = app.session_state["working.explore"].result.sites
    return sites[sites["metric"] == metric]["value"].tolist()


def test_the_switch_measures_with_and_without(open_app, model):
    app = opened(open_app, "explore", model)
    loaded = load(model)
    expected = {
        begin: entviz.analyze(loaded, loaded.windows(NEWS, windows=2, window_length=64, begin=begin))
        for begin in (True, False)
    }
    assert BEGINS in said(app)
    assert curve(app) == pytest.approx(
        expected[True].sites[expected[True].sites["metric"] == "bucket"]["value"].tolist(), rel=1e-4
    )
    assert "begin" not in app.query_params
    settle(app.toggle(key="pick.begin").set_value(False).run())
    assert WITHOUT in said(app)
    assert BEGINS not in said(app)
    assert curve(app) == pytest.approx(
        expected[False].sites[expected[False].sites["metric"] == "bucket"]["value"].tolist(), rel=1e-4
    )
    assert app.query_params["begin"] == "no"


def test_the_choice_comes_with_the_link(open_app, model):
    app = opened(open_app, "prune", model, begin="no", drop="attn.1")
    assert app.toggle(key="pick.begin").value is False
    assert WITHOUT in said(app)
    evaluation = app.session_state["working.prune.evaluation"].result
    assert evaluation.beginning == ()
    dense = app.session_state["working.prune.dense"].result
    assert dense.token_ids[0] != 1
    app = open_app("explore", begin="perhaps")
    assert "must say yes or no" in said(app)
    assert app.toggle(key="pick.begin").value is True


def test_a_run_is_opened_and_reported_as_it_was(model):
    bench = runtime()
    for begin in (True, False):
        job = bench.ask(evaluation(TextSample(model, NEWS, 2, 64, begin), "attn.1"), "tests")
        while not job.snapshot().finished:
            job.touch("tests")
            job.wait(0.1)
        assert job.snapshot().error is None
        run = bench.store.runs(kind="evaluation", model=model)[0]
        assert opening._choices(run, NEWS)["begin"] is begin
        html = of_run(run, bench.store.get(run.key), NEWS)
        assert ("--no-bos" in html) is not begin
        assert ("begins with &lt;s&gt;" in html) is begin


def test_the_choice_is_a_part_of_what_is_asked_for(model):
    chosen = selection.Selection(model, "news", NEWS, 2, 64)
    assert "begin" not in chosen.sample().options()  # so the keys of earlier results stay
    assert selection.Selection(model, "news", NEWS, 2, 64, False).sample().options()["begin"] is False


@pytest.mark.parametrize("page", ["explore", "prune", "compare"])
def test_a_token_without_an_embedding_is_a_sentence(open_app, tmp_path, page):
    saved(tmp_path)
    knowing_more("river", "station", "plan", "the", "council").save_pretrained(tmp_path)
    app = opened(open_app, page, str(tmp_path))
    assert not app.exception
    if page != "compare":
        assert any("embeddings for the numbers 0 to 100 only" in error.value for error in app.error)


def test_line_ends_of_a_file_are_said(open_app):
    app = settle(open_app())
    app.selectbox(key="pick.text").set_value(selection.UPLOADED).run()
    lines = NEWS.replace("\n", "\r\n").encode()
    app.file_uploader(key="pick.upload").set_value(("news.txt", lines, "text/plain")).run()
    assert "ends its lines with CRLF; they are read as ended with LF" in said(app)
    assert app.session_state["view"]["uploaded_text"] == NEWS
