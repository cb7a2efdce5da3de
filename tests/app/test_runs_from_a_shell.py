"""The Runs page with results of commands: a page opens those that it can show, and the Runs page names the others."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from entviz.blocks import PruneSet
from entviz.cli import main
from entviz.runtime import runtime
from entviz.studies import ContrastBlocks, TextSample
from entviz.text.passages import passages
from tests.app.conftest import APP, figures, settle, words
from tests.app.test_prune import bench_of
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
    app.switch_page("pages/explore.py")
    assert figures(app.run()), "at once"
    settle(app)
    runs = runtime().store.runs(kind="analysis")
    # The headline asks for the same without massive tokens, which no shell has measured.
    assert len([run for run in runs if not run.options.get("without_massive")]) == 1, (
        "nothing was computed again"
    )


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


def opened(app, page):
    """The page of a run that was just opened, with nothing under way. AppTest forgets that it went there."""
    tick(app, 0, press="runs.open")
    app.switch_page(f"pages/{page}.py")
    return settle(app.run())


def test_an_analysis_opens_with_its_metrics_their_options_and_its_levels(listed, tmp_path):
    saved(tmp_path)
    metrics = ("--metric", "bucket,knn(k=5),renyi,matrix,cosine")
    app = listed("analyze", "--model", tmp_path, *ON_STORY, *metrics)
    app.session_state["view"] = {"options": ("knn(k=7)", "renyi(alpha=3)"), "metrics": (), "level": ()}
    assert "measured again" not in plain(app)
    opened(app, "explore")
    assert app.session_state["view"]["options"] == ("knn(k=5)",)
    assert app.pills(key="explore.metrics").value == ["bucket", "knn", "renyi", "matrix", "cosine"]
    assert app.pills(key="explore.level").value == ["layer", "attn", "mlp"]
    (run,) = runtime().store.runs(kind="analysis")
    sites = runtime().store.get(run.key).sites.query("metric == 'knn(k=5)'")
    curves = [trace for figure in figures(app) for trace in figure["data"] if trace.get("y")]
    assert any(trace["y"] == pytest.approx(sites["value"].tolist()) for trace in curves)


def test_an_analysis_of_some_opens_with_these_and_says_that_a_page_measures_more(listed, tmp_path):
    saved(tmp_path)
    some = ("--metric", "knn(k=5)", "--level", "mlp")
    app = tick(listed("analyze", "--model", tmp_path, *ON_STORY, *some), 0)
    assert "it is measured again" in plain(app)
    opened(app, "explore")
    assert app.pills(key="explore.metrics").value == ["knn"]
    assert app.pills(key="explore.level").value == ["mlp"]
    assert app.session_state["view"]["options"] == ("knn(k=5)",)


@pytest.mark.parametrize(
    "metrics", ["knn(k=5)", "bucket,knn(k=5),renyi,cosine", "bucket,knn,renyi,matrix,cosine"]
)
def test_a_pruned_analysis_opens_with_its_entropy_and_is_there_at_once(listed, tmp_path, metrics):
    saved(tmp_path)
    shown = "matrix" if "matrix" in metrics else "knn(k=5)"
    asked = (*ON_STORY, "--metric", metrics, "--drop", "attn.1")
    app = tick(listed("analyze", "--model", tmp_path, *asked), 0)
    assert "measured again" not in plain(app)
    opened(app, "prune")
    assert app.segmented_control(key="prune.estimator").value == shown.partition("(")[0]
    (run,) = runtime().store.runs(kind="pruned analysis")
    sites = runtime().store.get(run.key).sites.query("metric == @shown")
    (curve,) = [line for line in bench_of(app)["curve"]["lines"] if line["name"] == "pruned"]
    assert [point["value"] for point in curve["points"]] == pytest.approx(sites["value"].tolist())


def test_a_ranking_opens_as_it_was_asked_for(listed, tmp_path):
    saved(tmp_path)
    how = ("--estimator", "knn(k=5)", "--level", "mlp", "--budget", "1", "--protect", "1,0", "--stage", "2")
    app = listed("rank", "--model", tmp_path, *ON_STORY, "--criterion", "entrodrop", *how)
    app.session_state["prune.criterion"] = "cosine"
    opened(app, "prune")
    assert app.selectbox(key="prune.criterion").value == "entrodrop"
    assert app.segmented_control(key="prune.level").value == "mlp"
    assert app.segmented_control(key="prune.estimator").value == "knn"
    assert app.number_input(key="prune.knn.k").value == 5
    assert (app.number_input(key="prune.first").value, app.number_input(key="prune.last").value) == (1, 0)
    assert app.toggle(key="prune.stage").value
    assert app.number_input(key="prune.count").value == 1


def test_a_ranking_that_measured_again_opens_so_and_is_there_at_once(listed, tmp_path):
    saved(tmp_path)
    how = ("--criterion", "cosine:iterative", "--level", "mlp", "--budget", "2")
    app = listed("rank", "--model", tmp_path, *ON_STORY, *how)
    app.session_state["prune.stage"] = True
    opened(app, "prune")
    assert app.selectbox(key="prune.criterion").value == "cosine"
    assert app.toggle(key="prune.iterative").value
    assert len(runtime().store.runs(kind="ranking")) == 1
    app.selectbox(key="prune.criterion").set_value("entrodrop").run()
    assert not app.toggle(key="prune.stage").value
    settle(app)


def test_a_verdict_on_entropies_with_options_opens_with_them_and_is_there_at_once(listed, tmp_path):
    saved(tmp_path)
    asked = ("--level", "layer", "--estimators", "matrix,knn(k=5)")
    app = tick(listed("trust", "--model", tmp_path, *ON_STORY, *asked), 0)
    assert "measures again" not in plain(app)
    assert "measured again" not in plain(app)
    settle(tick(app, 0, press="runs.open"))
    assert app.pills(key="trust.estimators").value == ["knn", "matrix"]
    assert app.session_state["view"]["options"] == ("knn(k=5)",)
    assert "Measured on layers of" in plain(app)
    assert "compare.trust.start" not in [button.key for button in app.button]
    assert len(runtime().store.runs(kind="trust")) == 1


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
        (("--dtype", "bfloat16"), "from a shell with weights bfloat16. A page cannot do that"),
        (("--window-length", "30"), "A page takes 1 to 64 windows of 32 to 1024 tokens"),
    ],
)
def test_what_a_page_would_do_otherwise_is_said(listed, options, says):
    app = tick(listed("analyze", *ON_STORY, "--metric", "bucket", *options), 0)
    assert says in plain(app)
    assert opens(app) == ["Open on Explore"]
