"""The Runs page with what commands kept: opened where a page can show it, and said where none can."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from entviz.blocks import PruneSet
from entviz.cli import main
from entviz.runtime import runtime
from entviz.studies import ContrastBlocks, TextSample
from entviz.text.passages import passages
from tests.app.conftest import APP, figures, settle, words
from tests.app.test_runs import computed, emptied, tick
from tests.models.files import saved

STORY = passages()["story"].text
ON_STORY = ("--text", STORY, "--windows", "1", "--window-length", "64")


@pytest.fixture
def listed(capsys):
    """Runs a command, alone in the store, and opens the Runs page with its run ticked."""

    def run(*command):
        emptied()
        assert main([*map(str, command)]) == 0
        capsys.readouterr()
        runtime().store.forget_memory()
        app = AppTest.from_file(APP, default_timeout=60)
        app.switch_page("pages/runs.py")
        app.run()
        assert not app.exception
        return app

    return run


def plain(app):
    return words(app).replace("\\", "")


def opens(app):
    return [button.label for button in app.button if button.key == "runs.open"]


def test_an_analysis_opens_on_its_page_and_is_shown_at_once(listed):
    app = tick(listed("analyze", *ON_STORY), 0)
    assert opens(app) == ["Open on Explore"]
    assert "measured again" not in plain(app)
    tick(app, 0, press="runs.open")
    assert app.session_state["view"]["text_name"] == "story"
    assert figures(settle(app))
    assert len(runtime().store.runs(kind="analysis")) == 1, "nothing was computed again"


def test_interactions_open_in_their_tab_at_their_level(listed, tmp_path):
    saved(tmp_path)
    app = tick(listed("interactions", "--model", tmp_path, *ON_STORY, "--level", "layer"), 0)
    assert opens(app) == ["Open on Compare"]
    settle(tick(app, 0, press="runs.open"))
    assert app.session_state["compare.tab"] == "Interactions"
    assert app.session_state["interactions.level"] == "layer"
    assert "Worst to drop together are" in plain(app), "the numbers are there without a press of the button"


def test_an_accuracy_opens_with_its_prune_set(listed):
    app = tick(listed("evaluate", "--task", "grammar", "--limit", "5", "--drop", "attn.5"), 0)
    assert opens(app) == ["Open on Prune"]
    assert "accuracy" in plain(app)
    tick(app, 0, press="runs.open")
    assert app.session_state["view"]["drop"] == "attn.5"


def test_a_continuation_opens_with_its_prompt_and_is_there_at_once(listed, tmp_path):
    saved(tmp_path)
    prompt = ("--prompt", "The gate was open", "--max-new-tokens", "7", "--drop", "attn.1")
    app = tick(listed("generate", "--model", tmp_path, *prompt), 0)
    assert "measures again" not in plain(app)
    tick(app, 0, press="runs.open")
    assert app.text_input(key="prune.prompt").value == "The gate was open"
    assert app.number_input(key="prune.new_tokens").value == 7
    assert app.session_state["view"]["drop"] == "attn.1"
    app.switch_page("pages/prune.py")  # AppTest forgets that it went there
    settle(app.run())
    runs = runtime().store.runs(kind="generation")
    assert sorted(run.options["drop"] for run in runs) == ["", "attn.1"], "only the dense one was written"


def test_a_run_about_no_prune_set_leaves_the_ticks_alone(listed, tmp_path):
    saved(tmp_path)
    app = listed("trust", "--model", tmp_path, *ON_STORY, "--level", "layer")
    app.session_state["view"] = {"drop": "attn.1"}
    tick(app, 0, press="runs.open")
    assert app.session_state["view"]["drop"] == "attn.1"
    assert app.session_state["compare.tab"] == "Which to trust"
    assert app.session_state["trust.level"] == "layer"


def test_a_comparison_measured_on_a_text_of_the_shell_does_not_say_it_was_on_ours(listed, tmp_path):
    saved(tmp_path)
    (tmp_path / "by.txt").write_text(STORY, encoding="utf-8")
    measured = ("--text", "Nobody had been there for years, and the path was grown over. " * 4)
    by = (
        "--window-length",
        "64",
        "--calibration-text-file",
        tmp_path / "by.txt",
        "--calibration-windows",
        "1",
    )
    asked = ("--criteria", "cosine,last", "--budgets", "1", "--level", "attn")
    app = tick(listed("compare", "--model", tmp_path, *measured, *by, *asked), 0)
    tick(app, 0, press="runs.open")
    said = plain(app)
    assert "of the story passage; measured on" in said
    assert "of 64 tokens, another text;" in said


def test_two_prune_sets_open_as_the_two_that_they_were():
    bench, request = emptied(), TextSample("smollm2-135m", STORY, 1, 64)
    computed(
        bench.ask(ContrastBlocks(request, PruneSet.parse("attn.5"), PruneSet.parse("mlp.7,attn.9")), "tests")
    )
    app = AppTest.from_file(APP, default_timeout=60)
    app.switch_page("pages/runs.py")
    tick(app.run(), 0, press="runs.open")
    assert app.session_state["compare.tab"] == "Two prune sets"
    assert app.text_input(key="compare.set.a").value == "attn.5"
    assert app.text_input(key="compare.set.b").value == "mlp.7,attn.9"


def test_token_ids_open_nowhere(listed, tmp_path):
    (tmp_path / "ids.json").write_text(json.dumps([list(range(100, 132))]))
    app = tick(listed("evaluate", "--token-ids", tmp_path / "ids.json", "--drop", "attn.5"), 0)
    assert not opens(app)
    assert "token ids of ids.json" in plain(app)
    assert "No page can open this run: it was measured on token ids" in plain(app)
    app = tick(listed("evaluate", *ON_STORY, "--drop", "attn.5"), 0)
    assert opens(app), "a run with a text does"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--dtype", "bfloat16"), "in a shell with weights bfloat16. A page measures without that"),
        (("--window-length", "30"), "A page takes 1 to 64 windows of 32 to 1024 tokens"),
    ],
)
def test_what_a_page_would_do_otherwise_is_said(listed, options, says):
    app = tick(listed("analyze", *ON_STORY, "--metric", "bucket", *options), 0)
    assert says in plain(app)
    assert opens(app) == ["Open on Explore"]
