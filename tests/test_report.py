"""Reports: everything inside, nothing fetched, every word escaped, and the command in it gives the same numbers."""

import base64
import json
import re
import shlex
from html import unescape

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from playwright.sync_api import sync_playwright

import entviz
from entviz import report
from entviz.cli import main
from entviz.corpus import passages
from entviz.report import About, Section
from entviz.spelling import spell
from entviz.store import Run
from tests.browser.chromium import find

HOSTILE = (
    "</script><script>window.hacked = 1</script><img src=http://127.0.0.1:9/x onerror='window.hacked=1'> & "
)
NEWS = passages()["news"].text


@pytest.fixture(scope="module")
def measured(smollm2):
    """An analysis and an evaluation of a text that would like to be HTML, and what it says."""
    windows = entviz.windows_from_text(HOSTILE * 6, smollm2.tokenizer, windows=2, window_length=32)
    evaluation = entviz.evaluate(smollm2, windows, entviz.PruneSet.parse("attn.5,layer.7"))
    pieces = [spell(smollm2.tokenizer, row) for row in evaluation.token_ids.tolist()]
    return entviz.analyze(smollm2, windows, ("bucket", "cosine")), evaluation, pieces


@pytest.fixture(scope="module")
def browser():
    chromium = find()  # asks Playwright itself, so before it is started here
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        opened = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def show(browser, tmp_path):
    """Opens HTML in a real browser without a network: returns the page, what else it asked for, and complaints."""

    def opened(html, **context):
        path = tmp_path / "report.html"
        path.write_text(html, encoding="utf-8")
        page = browser.new_context(offline=True, **context).new_page()
        asked, complaints = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type == "error" else None
        )
        page.goto(path.as_uri())
        for figure in page.locator(".figure").all():
            figure.locator(".subplot").first.wait_for(state="attached")
        return page, asked[1:], complaints

    return opened


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_are_drawn_without_a_network_and_no_word_becomes_code(measured, show, scheme):
    analysis, evaluation, pieces = measured
    about = About("smollm2-135m", HOSTILE, HOSTILE)
    ink = {"light": "rgb(27, 37, 48)", "dark": "rgb(228, 234, 240)"}[scheme]
    for html, figures in (
        (report.of_analysis(analysis, about), 3),
        (report.of_evaluation(evaluation, pieces, about), 1),
    ):
        page, asked, complaints = show(html, color_scheme=scheme, viewport={"width": 390, "height": 844})
        assert (asked, complaints) == ([], [])
        assert page.locator(".figure .subplot.xy").count() >= figures
        assert page.evaluate("window.hacked") is None
        assert page.locator("img").count() == 0
        assert HOSTILE.strip() in page.locator("header").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
            "nothing runs off a phone's screen"
        )
        axis = page.locator(".figure .xtitle").first
        assert axis.evaluate("it => getComputedStyle(it).fill") == ink


@pytest.mark.browser
def test_the_policy_would_stop_what_slipped_through(show):
    slipped = Section("Oops", html="<img src='http://127.0.0.1:9/pixel.png'>")
    page, _, complaints = show(report.document("Title", "", [slipped]))
    assert page.locator("img").count() == 1
    assert any("Content Security Policy" in complaint for complaint in complaints)


@pytest.mark.browser
def test_a_figure_answers_the_pointer(measured, show):
    page, *_ = show(
        report.of_analysis(measured[0], About("smollm2-135m", "", "a text"), ["bucket"], ["layer"])
    )
    shown = page.evaluate(
        "() => { const place = document.querySelector('.figure');"
        "Plotly.Fx.hover(place, [{curveNumber: 1, pointNumber: 3}]);"
        "return place.querySelector('.hoverlayer').textContent; }"
    )
    row = measured[0].sites.query("metric == 'bucket' and kind != 'attn'").iloc[3]
    assert row["site"] in shown


def figure_data(html):
    return [
        json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', html, re.S)
    ]


def test_figures_hold_the_numbers_and_plotly_comes_once(measured):
    analysis = measured[0]
    html = report.of_analysis(analysis, About("smollm2-135m", NEWS, "the news passage"), ["bucket"], ["attn"])
    assert html.count("plotly.js v") == 1
    assert "https://cdn" not in html.split("<script>")[0]
    bars = figure_data(html)[1]["data"][0]["y"]
    values = pd.Series(base64_numbers(bars))
    expected = analysis.blocks.query("metric == 'bucket' and kind == 'attn'")["value"]
    assert values.tolist() == pytest.approx(expected.tolist())
    assert "SmolLM2 135M Instruct on the news passage, 2 windows of 32 tokens." in html
    assert f"entviz {entviz.__version__}" in html
    assert "torch" in html
    assert "plotly.js" not in report.document("No figure", "", [Section("Words", "only")])


def base64_numbers(values):
    return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])


def test_the_command_line_in_a_report_computes_the_same(smollm2, tmp_path, monkeypatch, capsys):
    windows = entviz.windows_from_text(NEWS, smollm2.tokenizer, windows=2, window_length=32)
    evaluation = entviz.evaluate(smollm2, windows, entviz.PruneSet.parse("attn.5"))
    html = report.of_evaluation(evaluation, None, About("smollm2-135m", NEWS, "the news passage"))
    (command,) = [unescape(text) for text in re.findall(r"<pre>(python -m entviz .*?)</pre>", html)]
    (data,) = re.findall(r'download="text.txt" href="data:text/plain;charset=utf-8;base64,([^"]*)"', html)
    (tmp_path / "text.txt").write_bytes(base64.b64decode(data))
    monkeypatch.chdir(tmp_path)
    assert main([*shlex.split(command)[3:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nll"] == pytest.approx(evaluation.nll, abs=1e-5)


def test_the_command_line_writes_reports(tmp_path, capsys):
    words = ["--text", NEWS, "--windows", "1", "--window-length", "32", "--report"]
    assert main(["evaluate", *words, str(tmp_path / "e.html"), "--drop", "attn.5"]) == 0
    html = (tmp_path / "e.html").read_text(encoding="utf-8")
    assert "the news passage, 1 window of 32 tokens" in html
    assert "Where it hurts" in html
    assert main(["analyze", *words, str(tmp_path / "none" / "a.html"), "--metric", "cosine"]) == 2
    said = capsys.readouterr()
    assert "cannot be written" in said.err
    assert "cosine" in said.out, "what was computed is printed nevertheless"


def test_a_command_survives_a_shell():
    about = About("some model; rm -rf $HOME", "", "")
    line = report.command.command(
        about, "generate", {"--prompt": "it's `x` $(y)\n", "--drop": ""}, text=False
    )
    assert shlex.split(line) == [
        *("python", "-m", "entviz", "generate", "--model", "some model; rm -rf $HOME"),
        *("--prompt", "it's `x` $(y)\n"),
    ]


def test_long_tables_are_folded_and_bounded():
    table = pd.DataFrame({"<b>": range(6000), "word": ["<i>x</i>"] * 6000})
    html = report.document("Long", "", [Section("Table", table=table)])
    assert "<details><summary>6,000 rows" in html
    assert "1,000 further rows are left out" in html
    assert "<i>x" not in html
    assert "<th>&lt;b&gt;" in html


def test_a_figure_cannot_end_its_script():
    figure = go.Figure().add_scatter(x=[1], y=[2], name="</script><script>alert(1)</script>")
    html = report.document("Odd", "", [Section("Figure", figure=figure)])
    assert "<script>alert" not in html
    assert figure_data(html)[0]["data"][0]["name"] == "</script><script>alert(1)</script>"


def test_every_kind_of_run_has_a_report(smollm2):
    prompt = "Once <upon> a time"
    generation = entviz.generate(smollm2, prompt, entviz.PruneSet.parse("attn.25"), max_new_tokens=3)
    run = Run(
        "generation", "smollm2-135m", description=prompt, options={"drop": "attn.25", "max_new_tokens": 3}
    )
    html = report.of_run(run, generation, prompt)
    assert "Once &lt;upon&gt; a time" in html
    assert "--prompt &#x27;Once &lt;upon&gt; a time&#x27; --drop attn.25 --max-new-tokens 3" in html


def test_file_names_are_plain():
    assert report.file_name("analysis", "../Some Org/Model\n1.5") == "entviz-analysis-some-org-model-1-5.html"
    assert report.file_name("analysis", "../..") == "entviz-analysis.html"
