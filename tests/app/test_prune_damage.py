"""Prune's measured damages: asked in the background, what they are of, and the blocks that they name."""

import pytest

import entviz
from entviz.blocks import PruneSet
from entviz.runtime import runtime
from entviz.text.passages import passages
from pages.parts.prune import damage, next_best
from tests.app.conftest import look_until, settle, words

ASKED = "background.prune.damage"
SETTINGS = {"prune.new_tokens": 3, "prune.prompt": "Once upon a time"}


@pytest.fixture
def open_page(open_app):
    def open_at(**link):
        app = open_app(measures_damage=True, **link)
        for name, value in SETTINGS.items():
            app.session_state[name] = value
        app.switch_page("pages/prune.py")
        return settle(app.run())

    return open_at


def job_of(app):
    return app.session_state[ASKED][1]


def measured(app):
    """Look as the fragment does in a browser, until every block is measured."""
    look_until(app, lambda: job_of(app).finished, lambda: job_of(app).finished)
    app.run()
    assert not app.exception
    return job_of(app).result


def buttons(app, place):
    found = [button for button in app.button if (button.key or "").startswith(f"prune.next.{place}.")]
    return {button.label: button for button in found}


def test_the_cheapest_next_blocks_are_those_of_the_numbers(open_page, smollm2):
    app = open_page(drop="attn.5", length="32")
    found = measured(app)
    windows = entviz.windows_from_text(
        passages()["news"].text, smollm2.tokenizer, windows=2, window_length=32
    )
    assert len(found.blocks) == 59
    losses = found.blocks.set_index("block")["loss"]
    before = entviz.evaluate(smollm2, windows, PruneSet.parse("attn.5"), dtype="auto").nll
    for name in (*buttons(app, "damage"), "mlp.0", "mlp.29"):
        both = entviz.evaluate(smollm2, windows, PruneSet.parse(f"attn.5,{name}"), dtype="auto").nll
        assert losses[name] == pytest.approx(both - before, abs=0.02)
    attentions = found.blocks[found.blocks["kind"] == "attn"]
    assert list(buttons(app, "damage")) == list(attentions.nsmallest(next_best.COUNT, "loss")["block"])
    assert len(buttons(app, "criterion")) == next_best.COUNT
    said = words(app).replace("\\", "")
    assert "kept attentions, and" in said
    assert "of the 3 cheapest are the same." in said
    assert "2 windows of 32 tokens, " + found.dtype in said

    first = next(iter(buttons(app, "damage")))
    buttons(app, "damage")[first].click()
    before = job_of(app)
    settle(app.run())
    assert app.session_state["view"]["drop"] == str(PruneSet.parse(f"attn.5,{first}"))
    assert job_of(app) is not before, "it asks for the damages beside the new prune set"
    assert first not in buttons(app, "criterion")


@pytest.mark.exhaustive  # each measures 60 blocks
def test_none_of_another_prune_set_are_shown(open_page):
    app = open_page(drop="attn.7")
    measured(app)
    assert buttons(app, "damage")
    app.button(key="prune.clear").click()
    app.run()  # the numbers of the dense model are not there yet, or the damages have just begun
    asked = app.session_state[ASKED][0].drop if ASKED in app.session_state else ""
    assert asked == ""
    if not buttons(app, "damage"):
        assert "beside attn.7" not in words(app)


@pytest.mark.exhaustive  # four windows of 128 tokens, measured nearly whole
def test_a_new_tick_ends_the_work_at_once_and_the_switch_ends_it_for_good(open_page):
    app = open_page(drop="mlp.9", windows="4", length="128")
    job = job_of(app)
    assert not job.finished
    assert "Measuring what dropping each further block beside mlp.9 would cost" in words(app).replace(
        "\\", ""
    )
    app.session_state["view"] = app.session_state["view"] | {"drop": "mlp.9,mlp.11"}
    app.run()
    assert job.state == "cancelled"
    settle(app)
    later = job_of(app)
    assert later.key != job.key
    app.toggle(key=damage.SWITCH).set_value(False)
    settle(app.run())
    assert later.state == "cancelled"
    assert ASKED not in app.session_state
    assert not buttons(app, "damage")
    assert buttons(app, "criterion"), "the criterion's are there without it"


@pytest.mark.exhaustive  # each measures 60 blocks
def test_what_is_measured_already_is_there_at_once(open_page):
    app = open_page(drop="attn.11")
    result = measured(app)
    again = open_page(drop="attn.11")
    assert job_of(again).finished
    assert job_of(again).result.blocks.equals(result.blocks)
    assert buttons(again, "damage")


def test_it_is_background_work(open_page):
    app = open_page(drop="attn.13", length="128")
    job = job_of(app)
    (entry,) = [one for one in runtime().worker._unfinished.values() if one.job is job]
    assert entry.priority < 0
    app.toggle(key=damage.SWITCH).set_value(False)
    app.run()
