"""Each kind of result has its figures with its numbers, and no text of a user becomes code."""

import dataclasses
import math
import re
from html import escape, unescape

import numpy as np
import pytest

import entviz
from entviz import report
from entviz.comparison.damages.block_damages import block_damages
from entviz.comparison.damages.token_damages import token_damages
from entviz.comparison.grid.grid import compare
from entviz.comparison.grid.texts import split
from entviz.comparison.interactions.interactions import interactions
from entviz.comparison.pair.pair import Angles, contrast
from entviz.comparison.trust.trust import trust
from entviz.comparison.trust.verdict import verdict
from entviz.criteria import rank
from entviz.criteria.angular import angular_distances
from entviz.evaluation.repaired import evaluate_repaired
from entviz.evaluation.tasks import TaskResult, evaluate_task
from entviz.figures import trust as drawn
from entviz.models import LoadedModel
from entviz.repair.choice import RepairChoice
from entviz.repair.fitting import fit
from entviz.report import About
from entviz.store import Run
from entviz.studies import reporting
from entviz.tasks import Item, Task
from tests.models.files import tokenizer
from tests.report.conftest import HOSTILE, figure_data, numbers
from tests.tiny import build

LAYERS = 6
TEXT = "It was late, and the road went on between the fields without a light or a house. " * 6
CUT = {"windows": 2, "window_length": 40}
ABOUT = About("somebody/tiny", TEXT, "a text of ours")
A, B = entviz.PruneSet.parse("attn.1,mlp.2"), entviz.PruneSet.parse("mlp.2,layer.4")


@pytest.fixture(scope="module")
def tiny():
    return LoadedModel.of(build("llama", layers=LAYERS), tokenizer(), "tiny")


@pytest.fixture(scope="module")
def windows(tiny):
    return entviz.windows_from_text(TEXT, tiny.tokenizer, windows=2, window_length=40)


@pytest.fixture(scope="module")
def comparison(tiny):
    whole = entviz.windows_from_text(TEXT, tiny.tokenizer, windows=5, window_length=40)
    parts = split(whole, 2)
    task = Task(
        "opposites", (Item.ask("up, and", ["down", "blue"], 0), Item.ask("hot, and", ["cold", "tea"], 0))
    )
    criteria, budgets = ["entrodrop:bucket", "cosine", "random"], ["1", "2"]
    return compare(tiny, parts.calibration, parts.measured, criteria, budgets, levels=["attn"], task=task)


@pytest.fixture(scope="module")
def damage(tiny, windows):
    return trust(tiny, windows, "attn")


@pytest.fixture(scope="module")
def pairs(tiny, windows):
    return interactions(tiny, windows, "mlp")


@pytest.fixture(scope="module")
def results(tiny, windows, comparison, damage, pairs):
    """A result of each kind, with the options of its run."""
    task = Task(HOSTILE, (Item.ask("one, two,", ["three", "nine"], 0), Item.ask("a, b,", ["x", "c"], 1)))
    analysis = entviz.analyze(tiny, windows, ("bucket", "cosine"))
    ranking = rank(tiny, windows, "entrodrop", estimator="bucket", budget=2, protect=(1, 1))
    asked = {"criteria": ["cosine"], "budgets": ["1"], "levels": ["attn"], "seeds": 3, "seconds": 60.0}
    asked |= {"measure_on": "", "task": "", "task_fingerprint": "", "limit": None}
    settings = {"criterion": "entrodrop", "estimator": "bucket", "level": "attn", "budget": "2"}
    return {
        "analysis": (analysis, CUT),
        "pruned analysis": (entviz.analyze(tiny, windows, ("bucket", "cosine"), drop=A), CUT),
        "evaluation": (entviz.evaluate(tiny, windows, A), CUT),
        "block damages": (
            block_damages(tiny, windows, A),
            CUT | {"levels": ["attn", "mlp"], "dtype": "float32"},
        ),
        "token damages": (
            token_damages(tiny, windows, A),
            CUT | {"dtype": "float32"},
        ),
        "repaired evaluation": (
            evaluate_repaired(tiny, windows, fit(tiny, windows, A, "bias")),
            CUT | RepairChoice("bias", ("One two three",), windows=2).options(),
        ),
        "comparison": (dataclasses.replace(comparison, notes=(HOSTILE,)), CUT | asked),
        "ranking": (ranking, CUT | settings | {"protect": [1, 1], "stage": None}),
        "score": (evaluate_task(tiny, task, A), {"limit": None}),
        "contrast": (contrast(tiny, windows, A, B), CUT),
        "angles": (Angles(angular_distances(tiny, windows)), CUT),
        "trust": (damage, CUT | {"level": "attn"}),
        "interactions": (pairs, CUT | {"level": "mlp"}),
        "generation": (entviz.generate(tiny, "Once", A, max_new_tokens=3), {"max_new_tokens": 3}),
    }


def of_run(results, kind):
    result, options = results[kind]
    run = Run(kind, HOSTILE, description=f"{HOSTILE} (2 x 40 tokens)", options=options)
    return reporting.of_run(run, result, HOSTILE * 3)


def test_every_kind_is_here(results):
    from entviz.studies import stored_studies

    assert set(results) == set(stored_studies())


KINDS = [
    *("analysis", "pruned analysis", "evaluation", "repaired evaluation", "block damages", "comparison"),
    *("ranking", "score", "token damages"),
    *("contrast", "angles", "trust", "interactions", "generation"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_no_word_of_a_person_s_becomes_code(results, kind):
    html = of_run(results, kind)
    assert escape(HOSTILE.strip()) in html, "the model's name and the text's are there, as text"
    body = html.split("<main>")[1]
    assert "<img" not in body
    assert "window.hacked = 1</script>" not in body
    assert "(2 x 40 tokens)" not in body.split("<section>")[0], "how much it was is said once"


@pytest.mark.browser
def test_every_kind_is_drawn_in_a_browser_on_a_narrow_screen(results, show):
    for kind in KINDS:
        html = of_run(results, kind)
        page, asked, complaints = show(html, viewport={"width": 390, "height": 844})
        assert (asked, complaints) == ([], []), kind
        assert page.locator(".figure .subplot").count() >= len(figure_data(html)), kind
        assert page.evaluate("window.hacked") is None
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), kind


def traces(figure):
    return {trace.get("name"): trace for trace in figure["data"]}


def sections(html):
    """The headings of a report's sections that hold a figure, in order."""
    with_figure = [part for part in html.split("<section>")[1:] if 'class="figure"' in part]
    return [unescape(re.search("<h2>(.*?)</h2>", part)[1]) for part in with_figure]


def test_a_comparison_s_charts_hold_its_table(comparison):
    html = report.of_comparison(comparison, ABOUT)
    table = comparison.table()
    figures = figure_data(html)
    headings = [
        *("Perplexity: what is kept", "KL from dense (nats): what is kept"),
        *("Top-1 agreement with dense (%): what is kept", "Task accuracy (%): what is kept"),
        *("Task accuracy, length-normalized (%): what is kept", "Perplexity: speed"),
    ]
    assert sections(html) == headings
    columns = [
        ("perplexity", 1),
        ("kl", 1),
        ("top1_agreement", 100),
        ("accuracy", 100),
        ("accuracy_normalized", 100),
    ]
    for figure, (column, times) in zip(figures, columns, strict=False):
        for name in ("entrodrop:bucket", "cosine", "random"):
            rows = table[table["name"] == name].sort_values("parameters_kept")
            line = traces(figure)[rows["title"].iloc[0]]
            assert numbers(line["x"]) == pytest.approx(100 * rows["parameters_kept"].to_numpy())
            assert numbers(line["y"]) == pytest.approx(times * rows[column].to_numpy())
    rows = table[table["name"] == "cosine"].sort_values("speedup")
    line = traces(figures[-1])["Cosine"]
    assert numbers(line["x"]) == pytest.approx(rows["speedup"].to_numpy())
    assert numbers(line["y"]) == pytest.approx(rows["perplexity"].to_numpy())
    for drop in table["drop"]:
        assert f"<td>{drop}</td>" in html
    assert "Chosen by 2 windows of 40 tokens of a text of ours; measured on 3 windows of 40 tokens" in html
    assert "Compute it again" not in html, "nobody said what was asked for"


def test_a_stopped_comparison_says_so_instead_of_a_verdict(comparison):
    some = dataclasses.replace(comparison, rows=comparison.rows.iloc[:3].reset_index(drop=True))
    html = report.of_comparison(some, ABOUT)
    assert f"stopped when 3 of {comparison.rows_total} prune sets were measured" in html
    none = dataclasses.replace(comparison, rows=comparison.rows.iloc[:0])
    assert figure_data(report.of_comparison(none, ABOUT)) == []


def test_trust_s_charts_hold_the_correlations_and_the_ranks(damage):
    html = report.of_trust(damage, ABOUT)
    titles = [drawn.title(name) for name in drawn.chosen(damage, "all", "loss")["criterion"]]
    assert sections(html) == [
        *("Loss increase, every block", "KL from dense, every block"),  # three inner blocks are too few
        *(f"{title}, block by block" for title in titles),
    ]
    table = damage.correlations
    rows = table[(table["scope"] == "all") & (table["damage"] == "loss")].sort_values("spearman")
    points = figure_data(html)[0]["data"][0]
    assert sorted(numbers(points["x"])) == pytest.approx(rows["spearman"].tolist())
    assert sorted(numbers(points["x"]) + numbers(points["error_x"]["array"])) == pytest.approx(
        sorted(rows["high"])
    )
    best = rows["criterion"].iloc[-1]
    scattered = [trace for trace in figure_data(html)[2]["data"] if trace["mode"] == "markers+text"]
    order = damage.scores[damage.scores["criterion"] == best].set_index("block")["score"].rank()
    hurt = damage.damage.set_index("block")["loss"].rank()
    assert numbers(scattered[0]["x"]) == pytest.approx(order[hurt.index].to_numpy())
    assert numbers(scattered[0]["y"]) == pytest.approx(hurt.to_numpy())
    for sentence in verdict(damage):
        assert escape(sentence) in html


def test_where_blocks_are_too_few_for_a_correlation_trust_draws_none(tiny, windows):
    small = LoadedModel.of(build("llama", layers=4), tokenizer(), "small")
    html = report.of_trust(trust(small, windows, "attn", estimators=["bucket"]), ABOUT)
    assert figure_data(html) == []
    assert "too few to tell a rank correlation from chance" in html


def test_the_maps_of_pairs_hold_what_goes_beyond_the_sum(pairs):
    html = report.of_interactions(pairs, ABOUT)
    for figure, measure in zip(figure_data(html), ("loss", "kl"), strict=True):
        z = numbers(figure["data"][0]["z"])
        wanted = pairs.beyond(measure)
        known = ~np.isnan(wanted)
        assert z[known] == pytest.approx(wanted[known])
        assert list(figure["data"][0]["x"]) == list(pairs.blocks)
    worst = pairs.table().sort_values("loss_interaction").iloc[-1]
    assert escape(f"Worst to drop together are {worst['first']} and {worst['second']}") in html


def test_two_prune_sets_show_what_each_block_costs(results):
    found, _ = results["contrast"]
    html = report.of_contrast(found, ABOUT, 2, 40)
    (figure,) = figure_data(html)
    for side in ("a", "b"):
        bars = traces(figure)[f"in {side.upper()}"]
        costs = found.blocks.set_index("block")[f"cost_{side}"].dropna()
        assert list(bars["x"]) == list(costs.index)
        assert numbers(bars["y"]) == pytest.approx(costs.to_numpy())
    assert f"A&#x27;s loss is {found.nll_a:.4f} nats a token, B&#x27;s is {found.nll_b:.4f}" in html


def test_the_map_of_angles(results):
    found, _ = results["angles"]
    (figure,) = figure_data(report.of_angles(found, ABOUT, 2, 40))
    z = numbers(figure["data"][0]["z"])
    for row in found.distances.itertuples():
        assert z[row.size - 1, row.start] == pytest.approx(row.distance)


def test_a_ranking_s_board_shows_what_goes_and_what_is_protected(results):
    ranking, options = results["ranking"]
    html = report.of_ranking(ranking, ABOUT, options)
    cells = re.findall(r'role="img" title="([^"]*)"[^>]*>(.?)</span>', html)
    assert len(cells) == LAYERS, "the attentions and no others"
    scores = ranking.scores.set_index("block")
    for said, mark in cells:
        block = said.split(",")[0]
        gone = block in [str(one) for one in ranking.drop]
        assert mark == ("✕" if gone else "●" if scores.at[block, "protected"] else "")
        assert ("dropped" in said) == gone
        if not scores.at[block, "protected"]:
            assert f"rank {[str(one) for one in ranking.order].index(block) + 1} of" in said
    assert "Entropy increase, Bucket (nats)" in html


def test_dropped_layers_are_marked(tiny, windows):
    ranking = rank(tiny, windows, "last", level="layer", budget=2)
    options = CUT | {"level": "layer", "budget": "2", "protect": None}
    html = report.of_ranking(ranking, ABOUT, options)
    cells = dict(re.findall(r'role="img" title="([^",]*)[^"]*"[^>]*>(.?)</span>', html))
    assert {block for block, mark in cells.items() if mark == "✕"} == {"layer.4", "layer.5"}
    assert "dashed" in html, "the last blocks have no score"


def a_result(right: list[bool]) -> TaskResult:
    """Items of two choices, the answer likelier or less likely."""
    likelihood = np.array([[-1.0, -2.0] if yes else [-2.0, -1.0] for yes in right])
    count = np.arange(len(right))
    return TaskResult(
        *("opposites", entviz.PruneSet(), "float32"),
        *(count, np.zeros(len(right), int), likelihood, np.ones_like(likelihood, int), len(right)),
    )


def test_an_accuracy_s_chart_has_its_interval_and_never_leaves_0_to_100():
    html = report.of_score(a_result([True] * 9 + [False]), About("m", "", "the task opposites"))
    (figure,) = figure_data(html)
    points = figure["data"][0]
    error = math.sqrt(0.9 * 0.1 / 9)  # of a share of ten, with the sample's deviation
    assert numbers(points["x"]).tolist() == pytest.approx([90, 90])
    assert numbers(points["error_x"]["arrayminus"]).tolist() == pytest.approx([196 * error] * 2)
    assert numbers(points["error_x"]["array"]).tolist() == pytest.approx([10, 10]), "100% is the most"
    assert "9 of 10 items are right, 90.0%; blind guessing gives 50.0%." in html
    assert "cannot tell the two apart" not in html
    assert "cannot tell the two apart" in report.of_score(a_result([True, True, False]), About("m", "", "t"))
    (single,) = figure_data(report.of_score(a_result([True]), About("m", "", "t")))
    assert numbers(single["data"][0]["error_x"]["array"]).tolist() == [0, 0]


def test_a_task_s_report_shows_no_fingerprint_as_if_it_were_a_text(results):
    result, _ = results["score"]
    run = Run("score", "tiny", description="mine, first 2 items", options={"limit": 2})
    html = reporting.of_run(run, result, "0123456789abcdef" * 2)
    assert "0123456789abcdef" not in html.split("<main>")[1].split("</main>")[0]
    assert "tiny on the task mine, first 2 items, in float32." in html


def test_token_ids_are_named_and_not_quoted(results):
    result, _ = results["evaluation"]
    options = CUT | {"shell": {"token_ids": "ids.json"}}
    run = Run("evaluation", "tiny", description="token ids of ids.json (2 x 40 tokens)", options=options)
    html = reporting.of_run(run, result)
    assert "<p>tiny on token ids of ids.json, 2 windows of 40 tokens.</p>" in html
    assert "Compute it again" not in html
    assert "The text</h2>" not in html


def test_how_it_was_loaded_is_said(results):
    result, options = results["analysis"]
    run = Run("analysis", "tiny", options=options | {"shell": {"weights": "bfloat16", "device": "cuda:1"}})
    html = reporting.of_run(run, result, TEXT)
    assert "The weights were loaded in bfloat16. It ran on cuda:1." in html
    assert "--dtype bfloat16 --device cuda:1" in html
