"""Reports: everything is in the file, nothing is fetched, every text is escaped."""

import json

import pandas as pd
import plotly.graph_objects as go
import pytest

import entviz
from entviz import report
from entviz.cli import main
from entviz.report import About, Section
from entviz.text.passages import passages
from entviz.text.spelling import spell
from tests.models.files import saved
from tests.report.conftest import HOSTILE, figure_data, numbers

NEWS = passages()["news"].text


@pytest.fixture(scope="module")
def measured(smollm2):
    """An analysis and an evaluation of a text that would like to be HTML, and what it says."""
    windows = entviz.windows_from_text(HOSTILE * 6, smollm2.tokenizer, windows=2, window_length=32)
    evaluation = entviz.evaluate(smollm2, windows, entviz.PruneSet.parse("attn.5,layer.7"))
    pieces = [spell(smollm2.tokenizer, row) for row in evaluation.token_ids.tolist()]
    return entviz.analyze(smollm2, windows, ("bucket", "cosine")), evaluation, pieces


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


def test_figures_hold_the_numbers_and_plotly_comes_once(measured):
    analysis = measured[0]
    html = report.of_analysis(analysis, About("smollm2-135m", NEWS, "the news passage"), ["bucket"], ["attn"])
    assert html.count("plotly.js v") == 1
    assert "https://cdn" not in html.split("<script>")[0]
    bars = figure_data(html)[1]["data"][0]["y"]
    values = pd.Series(numbers(bars))
    expected = analysis.blocks.query("metric == 'bucket' and kind == 'attn'")["value"]
    assert values.tolist() == pytest.approx(expected.tolist())
    assert "SmolLM2 135M Instruct on the news passage, 2 windows of 32 tokens." in html
    assert f"entviz {entviz.__version__}" in html
    assert "torch" in html
    assert "plotly.js" not in report.document("No figure", "", [Section("Words", "only")])


def test_the_command_line_writes_reports(tmp_path, capsys):
    words = ["--text", NEWS, "--windows", "1", "--window-length", "32", "--report"]
    assert main(["evaluate", *words, str(tmp_path / "e.html"), "--drop", "attn.5"]) == 0
    html = (tmp_path / "e.html").read_text(encoding="utf-8")
    assert "the news passage, 1 window of 32 tokens" in html
    assert "Where it hurts" in html
    assert main(["analyze", *words, "/dev/full", "--metric", "cosine"]) == 2
    said = capsys.readouterr()
    assert "cannot be written" in said.err
    assert "cosine" in said.out, "what was computed is printed nevertheless"


@pytest.mark.parametrize(("place", "said"), [("none/a.html", "no directory"), ("", "is a directory")])
def test_a_report_that_cannot_be_written_is_refused_before_anything_is_computed(
    tmp_path, capsys, place, said
):
    with pytest.raises(SystemExit) as ended:
        main(["analyze", "--text", NEWS, "--metric", "cosine", "--report", str(tmp_path / place)])
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_token_ids_of_a_model_without_a_tokenizer_have_a_report_without_text(tmp_path, capsys):
    saved(tmp_path / "model", with_tokenizer=False)
    capsys.readouterr()
    (tmp_path / "ids.json").write_text(json.dumps([[3, 5, 7, 9, 11, 13]] * 2))
    asked = ["--model", tmp_path / "model", "--token-ids", tmp_path / "ids.json", "--drop", "attn.0"]
    assert main(["evaluate", *map(str, asked), "--report", str(tmp_path / "e.html")]) == 0
    said = capsys.readouterr()
    assert "perplexity" in said.out
    assert said.err == ""
    html = (tmp_path / "e.html").read_text(encoding="utf-8")
    assert "What it costs" in html
    assert "Where it hurts" not in html


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


def test_file_names_are_plain():
    assert report.file_name("analysis", "../Some Org/Model\n1.5") == "entviz-analysis-some-org-model-1-5.html"
    assert report.file_name("analysis", "../..") == "entviz-analysis.html"
