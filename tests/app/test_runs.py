"""The Runs page: results are listed, found, opened on their page, compared, downloaded and deleted."""

import csv
import dataclasses
import io
import json
import time

import pytest
from streamlit.testing.v1 import AppTest

from entviz.analysis import Analysis
from entviz.cli import main
from entviz.evaluation.loss import Evaluation
from entviz.runtime import runtime
from entviz.studies import Analyze, TextSample
from entviz.studies.listing import as_csv, listing
from entviz.text.passages import passages
from pages.parts.runs import filters
from pages.parts.shared import report_button
from tests.app.conftest import APP, figures, settle, words
from tests.runtime.asking import evaluation

MODEL = "smollm2-135m"
NEWS = passages()["news"].text
OWN = "=2+3 is how this text of my own begins, <b>boldly</b> and at a length that fills a window. " * 12


def computed(job, session="tests"):
    while not job.snapshot().finished:
        job.touch(session)
        time.sleep(0.05)
    assert job.snapshot().error is None
    return job.snapshot().result


def emptied():
    """The runtime with nothing in its store, once the work of earlier tests has ended."""
    bench = runtime()
    end = time.monotonic() + 60
    while bench.worker.unfinished:
        assert time.monotonic() < end
        time.sleep(0.05)
    bench.forget(*(run.key for run in bench.store.runs(limit=1000)))
    return bench


@pytest.fixture(scope="module")
def results():
    """Four results with their runs, oldest first: analyses of two texts, evaluations of the dense and a pruned one."""
    bench = emptied()
    for text in (NEWS, OWN):
        computed(bench.ask(Analyze(TextSample(MODEL, text, 2, 64)), "tests"))
    for drop in ("", "attn.5,layer.7"):
        computed(bench.ask(evaluation(TextSample(MODEL, NEWS, 2, 64), drop), "tests"))
    store = bench.store
    return [(run, store.get(run.key), store.text(run.key)) for run in store.runs()[::-1]]


@pytest.fixture
def runs(results):
    """The store with these four runs in it and no others."""
    bench = emptied()
    for run, result, text in results:
        bench.store.put(run.key, run, result, text=text)
    return bench.store.runs()[::-1]


@pytest.fixture
def page():
    """The Runs page inside the frame, as one who follows the menu sees it."""
    app = AppTest.from_file(APP, default_timeout=60)
    app.switch_page("pages/runs.py")
    app.run()
    assert not app.exception
    return app


def table(app):
    return app.dataframe[0].value


def tick(app, *rows, press=None):
    """Tick rows, and press a button while they are ticked. AppTest has no method for it, and forgets ticks."""
    key = filters.table_key(app.session_state["runs.listing"][1])
    for button in (None, press) if press else (None,):
        app.session_state[key] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
        if button is not None:
            app.button(key=button).click()
        app.run()
        assert not app.exception
    return app


def test_a_newcomer_is_told_where_runs_come_from():
    emptied()
    app = AppTest.from_file(APP, default_timeout=60)
    app.switch_page("pages/runs.py")
    app.run()
    assert "There are no runs yet" in words(app)
    assert not app.dataframe


def test_runs_are_listed_newest_first_with_what_they_say(runs, page):
    shown = table(page)
    assert list(shown["kind"]) == ["Evaluation", "Evaluation", "Analysis", "Analysis"]
    assert list(shown["dropped"]) == ["attn.5,layer.7", "", "", ""]
    assert shown["text"][2].startswith("=2+3 is how")
    evaluation = runtime().store.get(runs[3].key)
    assert shown["perplexity"][0] == pytest.approx(evaluation.perplexity)
    assert f"perplexity {evaluation.perplexity:.4g}" in shown["found"][0]
    assert "sees all runs" in words(page)


def test_filters(runs, page):
    page.multiselect(key="runs.kind").set_value(["analysis"]).run()
    assert list(table(page)["kind"]) == ["Analysis", "Analysis"]
    page.text_input(key="runs.contains").set_value("MY OWN").run()
    assert len(table(page)) == 1
    page.text_input(key="runs.contains").set_value("nowhere in any text").run()
    assert "No runs match" in words(page)
    page.text_input(key="runs.contains").set_value("").run()
    page.multiselect(key="runs.kind").set_value([]).run()
    page.text_input(key="runs.drop").set_value("attn.7").run()
    assert list(table(page)["dropped"]) == ["attn.5,layer.7"]
    page.text_input(key="runs.drop").set_value("dense").run()
    assert list(table(page)["dropped"]) == [""]
    page.text_input(key="runs.drop").set_value("head.3 **x**").run()
    assert "is not a block" in page.error[0].value
    assert len(table(page)) == 4, "what was on the screen stays"
    page.text_input(key="runs.drop").set_value("").run()
    page.selectbox(key="runs.model").set_value(MODEL).run()
    assert len(table(page)) == 4


def test_opening_an_evaluation_leads_to_its_page_with_all_it_had(runs, page):
    tick(page, 0, press="runs.open")
    assert page.session_state["view"]["drop"] == "attn.5,layer.7"
    assert page.session_state["view"]["text_name"] == "news"
    assert (page.session_state["view"]["windows"], page.session_state["view"]["length"]) == (2, 64)
    assert [heading.value for heading in page.header] == ["Drop blocks, see the cost"]
    assert page.query_params["drop"] == "attn.5,layer.7"


def test_opening_an_analysis_of_a_typed_text_types_it_again(runs, page):
    tick(page, 2, press="runs.open")
    assert [heading.value for heading in page.header] == ["Entropy across depth"]
    page.switch_page("pages/explore.py")  # AppTest forgets that it went there
    settle(page.run())
    assert page.text_area(key="pick.typed_text").value == OWN
    assert page.number_input(key="pick.windows").value == 2
    shown = figures(page)[0]["data"]
    analysis = runtime().store.get(runs[1].key)
    (curve,) = [trace for trace in shown if trace.get("name") == "mean over windows"]
    assert curve["y"] == pytest.approx(analysis.sites.query("metric == 'bucket'")["value"].tolist())


@pytest.fixture
def away(runs):
    """An evaluation that was measured where its model was, alone in front of the other runs."""
    store = runtime().store
    run = dataclasses.replace(runs[3], key="away", model="smollm2-360m")
    assert run.kind == "evaluation"
    store.put(run.key, run, store.get(runs[3].key), text=store.text(runs[3].key))
    return run


def test_a_stored_run_starts_no_download(away, page, fetches):
    """Opened or as a report."""
    assert table(page)["model"][0] == "smollm2-360m"
    tick(page, 0, press="runs.open")
    settle(page)
    assert "The model **SmolLM2 360M** is asked for." in words(page).replace("\\", "")
    assert page.session_state["view"]["drop"] == "attn.5,layer.7"
    report = report_button.of_run(away, runtime().store.text(away.key), "tests")
    assert "What it costs" in report
    assert fetches == []


def test_two_analyses_lie_over_one_another(runs, page):
    tick(page, 2, 3)
    (chart,) = figures(page)
    assert [trace["name"] for trace in chart["data"]] == ["A", "B"]
    for trace, run in zip(chart["data"], (runs[1], runs[0]), strict=True):
        sites = runtime().store.get(run.key).sites.query("metric == 'bucket'")
        assert trace["y"] == pytest.approx(sites["value"].tolist())
    assert "not measured on the same" in words(page)


def test_two_evaluations_side_by_side_with_their_difference(runs, page):
    tick(page, 0, 1)
    pruned, dense = (runtime().store.get(run.key) for run in (runs[3], runs[2]))
    shown = page.dataframe[1].value.set_index("measure")
    assert list(shown) == ["A", "B", "B − A"]
    assert shown.loc["perplexity"].tolist() == pytest.approx(
        [pruned.perplexity, dense.perplexity, dense.perplexity - pruned.perplexity]
    )
    assert "not measured on the same" not in words(page)


def test_different_kinds_side_by_side(runs, page):
    tick(page, 0, 3)
    assert "Evaluation" in page.table[0].value.to_string()
    assert not figures(page)


def test_deleting_takes_the_ticked_runs_and_no_others(runs, page):
    tick(page, 0, 2, press="runs.delete")
    assert list(table(page)["kind"]) == ["Evaluation", "Analysis"]
    assert [run.key for run in runtime().store.runs()] == [runs[2].key, runs[0].key]
    assert runtime().store.get(runs[3].key) is None
    assert "Tick one run" in words(page), "nothing stays ticked"


def test_a_run_that_comes_meanwhile_does_not_move_the_ticks(runs, page):
    tick(page, 0)
    said = words(page)
    computed(runtime().ask(evaluation(TextSample(MODEL, NEWS, 2, 64), "mlp.9"), "tests"))
    page.run()
    assert words(page) == said
    page.button(key="runs.refresh").click().run()
    assert table(page)["dropped"][0] == "mlp.9"


def test_a_run_that_another_session_deleted_gives_a_sentence(runs, page):
    runtime().forget(runs[3].key)
    tick(page, 0, 1)
    assert "deleted meanwhile" in words(page)
    assert "deleted meanwhile" in report_button.of_run(runs[3], NEWS, "tests")


def test_reports_of_runs(runs):
    html = report_button.of_run(runs[3], NEWS, "tests")
    assert "attn.5,layer.7" in html
    assert "Where it hurts" in html, "the tokens are written out"
    html = report_button.of_run(runs[1], OWN, "tests")
    assert "&lt;b&gt;boldly" in html
    assert "<b>boldly" not in html


def test_the_listing_as_csv_has_no_formulas(runs):
    rows = list(csv.DictReader(io.StringIO(as_csv(listing(runs[::-1])))))
    assert rows[2]["text"].startswith("'=2+3")
    assert float(rows[0]["perplexity"]) == pytest.approx(runtime().store.get(runs[3].key).perplexity)
    assert rows[0]["dropped"] == "attn.5,layer.7"
    assert rows[0]["when"].endswith("+00:00")


def test_the_command_line_lists_the_same(runs, capsys):
    assert main(["runs", "--drop", "attn.5"]) == 0
    said = capsys.readouterr().out
    assert "dropped attn.5,layer.7" in said
    assert said.count("evaluation") == 1
    assert main(["runs", "--json"]) == 0
    assert [run["key"] for run in json.loads(capsys.readouterr().out)["runs"]] == [
        run.key for run in runs[::-1]
    ]
    assert main(["runs", "--csv", "--contains", "of my own"]) == 0
    assert "'=2+3" in capsys.readouterr().out
    assert main(["runs", "--kind", "nonsense"]) == 2
    assert "choose from" in capsys.readouterr().err


def test_what_is_stored_is_what_it_was(runs):
    results = [runtime().store.get(run.key) for run in runs]
    assert [type(result) for result in results] == [Analysis, Analysis, Evaluation, Evaluation]
