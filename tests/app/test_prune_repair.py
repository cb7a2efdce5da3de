"""Repair on the Prune page: after the plain numbers, on two texts, in links, on the trail, in runs opened again."""

import time
from types import SimpleNamespace

import pytest

import entviz
from entviz.blocks import PruneSet
from entviz.evaluation.repaired import evaluate_repaired
from entviz.figures import repairs
from entviz.figures.trail import POINTS, REPAIRED
from entviz.repair import built_in
from entviz.repair.choice import RepairChoice
from entviz.repair.fitted import fitted
from entviz.studies import EvaluateRepaired, TextSample
from entviz.text.passages import passages
from pages.parts.runs import opening
from tests.app.conftest import figures, words

SECONDS = 300  # far more than it takes on an idle machine
METHOD = "prune.repair_method"
SETTINGS = {"prune.new_tokens": 3, "prune.prompt": "Once upon a time"}
DROP = "attn.5,attn.6"
LINK = {"drop": DROP, "repair": "bias", "written": "no"}  # what a model writes takes long to write


def until(app, seen, said=""):
    """Run the page until ``seen(app)``. What else it measures is not waited for."""
    end = time.monotonic() + SECONDS
    while not seen(app):
        assert time.monotonic() < end, said or words(app)
        time.sleep(0.2)
        app.run()
        assert not app.exception
    return app


def value(app, title):
    """The number of a card; empty while there is none."""
    return next((card.value for card in app.metric if card.label == title), "")


def is_repaired(app):
    """Whether it is measured with the repair on both texts."""
    return " → " in value(app, "Perplexity") and "measured on 128 of" in words(app)


@pytest.fixture
def open_page(open_app):
    def open_at(**link):
        app = open_app("prune", **link)
        for name, chosen in SETTINGS.items():
            app.session_state[name] = chosen
        return app

    return open_at


@pytest.fixture(scope="module")
def measured(smollm2):
    """The bias that the page fits, measured by the engine on the text in view."""
    news, story = (passages()[name].text for name in ("news", "story"))
    choice = built_in.choice("bias", news, story, self_written=False)
    repair = fitted(choice, smollm2, PruneSet.parse(DROP))
    windows = entviz.windows_from_text(news, smollm2.tokenizer, windows=2, window_length=64)
    return evaluate_repaired(smollm2, windows, repair, dtype="auto")


def test_the_cards_go_from_pruned_to_repaired_and_both_texts_are_said(open_page, smollm2, measured):
    app = until(open_page(**LINK), is_repaired)
    windows = entviz.windows_from_text(
        passages()["news"].text, smollm2.tokenizer, windows=2, window_length=64
    )
    plain = entviz.evaluate(smollm2, windows, PruneSet.parse(DROP), dtype="auto")
    shown = {card.label: (card.value, card.delta) for card in app.metric if card.label != "Reading speed"}
    assert shown == {card.title: (card.value, card.change) for card in repairs.cards(plain, measured)}
    assert " → " in shown["Perplexity"][0]
    said = words(app).replace("\\", "")
    share = measured.recovered_interval
    assert f"{100 * share.mean:.0f}% ± {100 * share.reach:.0f}%".replace("-", "−") in said
    assert "on the news passage" in said
    assert "the story passage" in said
    assert (
        f"Fitted on {measured.calibration_tokens:,} tokens of other text (code, law, medicine, dialogue, program)"
        in said
    )
    assert "measured on 128 of the news passage and " in said
    assert app.query_params["repair"] == "bias"
    assert app.query_params["written"] == "no"
    traces = {trace.get("name"): trace for chart in figures(app) for trace in chart["data"]}
    assert traces[POINTS]["y"] == pytest.approx([plain.perplexity], rel=1e-6)
    assert traces[REPAIRED]["y"] == pytest.approx([measured.perplexity], rel=1e-6)


def test_without_a_repair_again_nothing_of_it_is_left(open_page):
    app = until(open_page(**LINK), is_repaired)
    until(app, lambda page: any(box.key == METHOD for box in page.selectbox))
    app.selectbox(key=METHOD).set_value("").run()
    until(app, lambda page: value(page, "Perplexity"))
    assert "repair" not in app.query_params
    assert "written" not in app.query_params
    assert " → " not in value(app, "Perplexity")
    assert "measured on 128" not in words(app)


def test_a_text_of_ones_own_that_is_the_text_in_view_is_refused(open_page):
    app = open_page(**LINK)
    app.session_state["view"] = {
        **app.session_state["view"],
        "repair_own": True,
        "repair_text": passages()["news"].text,
    }
    app.run()
    until(app, lambda page: "would be fitted on the text that it is measured on" in words(page))
    assert " → " not in value(app, "Perplexity")
    assert app.query_params["calibration"] == "own"


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        ({"repair": "magic"}, "The repair in the link is not known here"),
        ({"repair": "bias", "calibration": "own"}, "fitted on a text too long for the link to carry"),
        ({"repair": "bias", "written": "maybe"}, "must say yes or no to text that the model writes itself"),
    ],
)
def test_a_link_that_will_not_do_says_so(open_app, link, sentence):
    app = open_app("learn", **link)  # a page that measures nothing
    assert sentence in words(app)


def run_of(choice, drop=DROP):
    """A stored run of a repaired evaluation of the news passage, as the list of runs reads it."""
    study = EvaluateRepaired(
        TextSample("smollm2-135m", passages()["news"].text, 4, 128),
        PruneSet.parse(drop),
        "auto",
        repair=choice,
    )
    return SimpleNamespace(
        kind=study.kind, options=study.options(), model=study.model, description=study.describe()
    )


def test_a_repaired_evaluation_opens_with_its_repair_and_a_plain_one_without():
    news, story = (passages()[name].text for name in ("news", "story"))
    run = run_of(built_in.choice("bias", news, story, self_written=False))
    wanted = {"drop": DROP, "repair": "bias", "repair_own": False, "repair_self": False}
    found = opening._choices(run, news)
    assert {name: found[name] for name in wanted} == wanted
    assert opening.differs(run, news) == ""
    run.kind, run.options = "evaluation", {"drop": DROP, "dtype": "auto", "windows": 4, "window_length": 128}
    assert opening._choices(run, news)["repair"] == ""


def test_a_run_whose_calibration_text_is_not_kept_says_so():
    run = run_of(RepairChoice("refit", ("some text from a file",)))
    assert "fitted on text that is not kept" in opening.differs(run, passages()["news"].text)
