"""The Compare page on the real default model: criteria by budgets, stopping and continuing, two prune sets."""

import io
import math

import pandas as pd
import pytest

import entviz
from entviz.blocks import PruneSet
from entviz.criteria import rank
from entviz.evaluation.loss import evaluate
from entviz.runtime import runtime
from entviz.studies import Compare, TextSample
from entviz.text.passages import passages
from pages.parts.compare import choices, two
from tests.app.conftest import figures, settle, words

SECONDS = 300  # far more than it takes on an idle machine
COLUMNS = ("title", "budget", "perplexity", "speedup", "drop")


def open_page(open_app, **link):
    return settle(open_app("compare", **link), SECONDS)


def compare(app, criteria=("entrodrop:knn", "cosine"), budgets="2, 1", measure_on=choices.REST):
    app.pills(key="compare.criteria").set_value(list(criteria))
    app.text_input(key="compare.budgets").set_value(budgets)
    app.selectbox(key="compare.measure_on.True").set_value(measure_on).run()
    app.button(key="compare.start").click().run()
    return settle(app, SECONDS)


@pytest.fixture(scope="module")
def halves(smollm2):
    """What the criteria choose by, and what is measured, where the text is the news passage in windows of 64."""
    text = passages()["news"].text
    whole = entviz.windows_from_text(text, smollm2.tokenizer, window_length=64).token_ids.tolist()
    return [entviz.windows_from_token_ids(rows, smollm2.vocabulary_size) for rows in (whole[:2], whole[2:])]


def test_nothing_is_compared_before_it_is_asked_for_and_the_time_is_told(open_app, monkeypatch):
    from entviz.comparison.grid import measuring

    def measured(*arguments, **options):
        raise AssertionError("prune sets were measured")

    monkeypatch.setattr(measuring, "evaluate_many", measured)
    app = open_app("compare", text="law")
    assert not app.exception
    assert not app.button(key="compare.start").disabled, "nobody has to wait for the estimate"
    settle(app)
    assert "21 prune sets, " in words(app)  # seven by three budgets
    assert "on this machine as busy as it is now. You can cancel at any time" in words(app)
    assert [tab.label for tab in app.tabs] == [
        "Criteria",
        "Two prune sets",
        "Which to trust",
        "Interactions",
    ]
    assert not figures(app)


def test_the_page_tells_what_the_runtime_estimates_and_what_is_known_takes_no_time(open_app):
    app = open_page(open_app)
    app.text_input(key="compare.budgets").set_value("1").run()
    settle(app)
    sample = TextSample("smollm2-135m", passages()["news"].text, 2, 64)
    shown = app.pills(key="compare.criteria").value
    others = tuple(passage.text for name, passage in passages().items() if name != "news")
    study = Compare(sample, tuple(shown), ("1",), ("attn",), measure_on=others)
    job = runtime().estimate(study, "another session")
    assert job.wait(60)
    assert job.result.seconds > 0
    assert job.result.in_words().partition(",")[0] == "7 prune sets"
    assert "7 prune sets, " in words(app)
    compare(app, ("cosine",), "1")
    app = open_page(open_app)
    app.pills(key="compare.criteria").set_value(["cosine"])
    app.text_input(key="compare.budgets").set_value("1")
    app.selectbox(key="compare.measure_on.True").set_value(choices.REST).run()
    assert "Measured before: the result is there at once." in words(settle(app))


def test_criteria_by_budgets_with_the_right_numbers(open_app, smollm2, halves):
    app = compare(open_page(open_app))
    table = app.dataframe[0].value
    assert list(table["title"]) == ["Dense", *["EntroDrop (KNN)"] * 2, *["Cosine"] * 2]
    assert list(table["budget"]) == ["", "1", "2", "1", "2"]
    calibration, measured = halves
    for row in table.iloc[1:].itertuples():
        criterion = "cosine" if row.title == "Cosine" else "entrodrop"
        chosen = rank(smollm2, calibration, criterion, level="attn", budget=row.budget)
        assert row.drop == str(chosen.drop)
        assert row.perplexity == pytest.approx(evaluate(smollm2, measured, chosen.drop).perplexity, rel=1e-4)
    said = words(app).replace("\\", "")
    assert f"Chosen by 2 windows of the news passage; measured on {len(measured)} windows" in said
    assert "At 2 attentions dropped" in said
    (chart,) = figures(app)
    lines = {trace["name"]: trace for trace in chart["data"]}
    assert {"EntroDrop (KNN)", "Cosine", "dense", "on the Pareto front"} <= set(lines)
    cosine = table[table["title"] == "Cosine"].sort_values("parameters_kept")
    assert lines["Cosine"]["y"] == pytest.approx(list(cosine["perplexity"]))
    assert lines["Cosine"]["x"] == pytest.approx(list(100 * cosine["parameters_kept"]))
    looks = {
        (t["line"]["color"], t["line"]["dash"], t["marker"]["symbol"])
        for t in lines.values()
        if "dash" in t.get("line", {})
    }
    assert len(looks) == 2


def test_the_chart_shows_another_quality_against_speed(open_app):
    app = compare(open_page(open_app))
    app.segmented_control(key="compare.quality.False").set_value("kl")
    app.segmented_control(key="compare.cost").set_value("speedup").run()
    (chart,) = figures(app)
    assert "Speed" in chart["layout"]["xaxis"]["title"]["text"]
    assert "KL" in chart["layout"]["yaxis"]["title"]["text"]
    table = app.dataframe[0].value
    (cosine,) = [trace for trace in chart["data"] if trace["name"] == "Cosine"]
    assert sorted(cosine["y"]) == pytest.approx(sorted(table.loc[table["title"] == "Cosine", "kl"]))


def test_a_row_goes_to_the_other_tab_and_to_prune(open_app):
    app = compare(open_page(open_app))
    table = app.dataframe[0].value
    app.selectbox(key="compare.picked").set_value(3).run()
    app.button(key="compare.take.b").click().run()
    drop = table["drop"].iloc[4]
    assert app.session_state["compare.set.b"] == drop
    (link,) = [link for link in app.get("page_link") if link.proto.label == "Open in Prune"]
    assert f"drop={drop.replace(',', '%2C')}" in link.proto.query_string


def test_what_was_compared_is_there_in_another_session(open_app):
    compare(open_page(open_app))
    app = open_page(open_app)
    assert len(app.dataframe[0].value) >= 5
    assert "At 2 attentions dropped" in words(app)


def test_a_stopped_comparison_is_offered_and_goes_on(open_app, smollm2, monkeypatch):
    """Another session stopped one half way; here it is shown, and finished without doing the first half again."""
    from entviz.comparison.grid import measuring
    from entviz.errors import Cancelled

    bench, text = runtime(), passages()["story"].text
    sample = TextSample("smollm2-135m", text, 2, 64)
    real = measuring.evaluate_many
    sets = []

    def stopping(loaded, windows, prune_sets, **options):
        sets.extend(map(str, prune_sets))
        if len(sets) > 2:
            raise Cancelled("Stopped.")
        return real(loaded, windows, prune_sets, **options)

    monkeypatch.setattr(measuring, "_TOGETHER", 1)
    monkeypatch.setattr(measuring, "evaluate_many", stopping)
    job = bench.ask(Compare(sample, ("cosine", "last"), ("1", "2"), ("mlp",)), "another session")
    assert job.wait(SECONDS)
    assert job.state == "cancelled"
    done = sets[:2]
    monkeypatch.setattr(measuring, "evaluate_many", real)
    app = open_page(open_app, text="story")
    assert "was stopped with 1 of 4 rows done" in words(app)
    assert len(app.dataframe[0].value) == 2
    sets.clear()
    monkeypatch.setattr(
        measuring, "evaluate_many", lambda *a, **k: (sets.extend(map(str, a[2])), real(*a, **k))[1]
    )
    app.button(key="compare.go_on").click().run()
    settle(app, SECONDS)
    assert len(app.dataframe[0].value) == 5
    assert app.pills(key="compare.levels").value == ["mlp"]
    assert sets
    assert not set(done) & set(sets)


@pytest.mark.parametrize(
    ("budgets", "sentence"), [("many", "is not a budget"), ("", "Give 1 to 20 budgets"), ("31", "no row")]
)
def test_a_budget_that_cannot_be_says_so(open_app, budgets, sentence):
    app = compare(open_page(open_app), budgets=budgets)
    assert sentence in words(app)
    assert not app.exception


def test_no_criterion_and_no_text_say_so(open_app):
    app = open_page(open_app)
    app.pills(key="compare.criteria").set_value([]).run()
    assert "Choose at least one criterion" in words(app)
    app.selectbox(key="pick.text").set_value("typed").run()
    assert "There is no text yet" in words(app)
    assert not app.exception


# Two prune sets


def open_two(open_app, a, b, **link):
    app = open_page(open_app, drop=a, **link)
    app.session_state["compare.tab"] = "Two prune sets"
    app.run()
    app.text_input(key="compare.set.b").set_value(b).run()
    return settle(app, SECONDS)


def test_two_prune_sets_side_by_side(open_app, smollm2):
    app = open_two(open_app, "attn.7,mlp.3", "attn.7,layer.12")
    assert app.text_input(key="compare.set.a").value == "mlp.3,attn.7"  # the one of the Prune page
    text = passages()["news"].text
    windows = entviz.windows_from_text(text, smollm2.tokenizer, windows=2, window_length=64)
    a, b = (evaluate(smollm2, windows, PruneSet.parse(drop)) for drop in ("attn.7,mlp.3", "attn.7,layer.12"))
    table = app.dataframe[0].value.set_index("measure")
    assert float(table.at["Perplexity", "A"]) == pytest.approx(a.perplexity, abs=0.006)
    assert float(table.at["Perplexity", "B"]) == pytest.approx(b.perplexity, abs=0.006)
    assert "**1** dropped by both, **1** by A only, **2** by B only" in words(app)
    overlap, tokens = figures(app)
    cells = {trace["name"]: set(trace["customdata"]) for trace in overlap["data"]}
    assert cells["only A"] == {"mlp.3"}
    assert cells["both"] == {"attn.7"}
    assert {"attn.12", "mlp.12", "layer.12"} == cells["only B"]
    (bars,) = tokens["data"]
    expected = (b.token_nll - a.token_nll).ravel()
    shown = [value for value in bars["y"] if value is not None and not math.isnan(value)]
    assert shown == pytest.approx(list(expected), abs=1e-4)
    html = " ".join(element.proto.body for element in app.get("html"))
    assert "lighthouse" in html  # both continuations are written out


def test_each_blocks_cost_is_measured_on_demand(open_app):
    app = open_two(open_app, "attn.7", "attn.7,attn.20")
    app.button(key="compare.contrast.start").click().run()
    settle(app, SECONDS)
    charts = figures(app)
    (costs,) = [chart for chart in charts if "Cost" in chart["layout"]["yaxis"]["title"]["text"]]
    assert [list(trace["x"]) for trace in costs["data"]] == [["attn.7"], ["attn.7", "attn.20"]]


@pytest.mark.parametrize(
    ("written", "sentence"),
    [("attn.seven", "not a block"), ("layer.99", "does not exist"), ('{"entviz_recipe": 1}', "drop")],
)
def test_a_prune_set_that_is_none_says_so(open_app, written, sentence):
    app = open_two(open_app, "attn.7", written)
    assert any(sentence in error.value.replace("\\", "") for error in app.error)
    assert not app.exception


def test_a_recipe_is_a_prune_set_too():
    recipe = '{"entviz_recipe": 1, "model": "smollm2-135m", "drop": ["attn.5", "layer.7"]}'
    assert two._read(recipe) == PruneSet.parse("attn.5,layer.7")


def test_the_csv_holds_the_table(open_app):
    app = compare(open_page(open_app))
    (button,) = [element for element in app.get("download_button") if element.proto.label == "Table as CSV"]
    assert button.proto.url
    table = app.dataframe[0].value
    again = pd.read_csv(io.StringIO(table.to_csv(index=False)))
    assert set(COLUMNS) <= set(again.columns)


def test_an_estimator_with_options_takes_part_beside_the_plain_one(open_app):
    app = open_app("compare", options="knn(k=5)")
    offered = app.pills(key="compare.criteria").options
    assert "EntroDrop (KNN)" in offered
    assert "EntroDrop (KNN, k = 5)" in offered
    assert "EntroDrop (Matrix)" in offered
    app.pills(key="compare.criteria").set_value(["entrodrop:knn(k=5)", "cosine"]).run()
    assert app.pills(key="compare.criteria").value == ["entrodrop:knn(k=5)", "cosine"]
    assert not app.exception


@pytest.mark.parametrize(
    ("criteria", "picked", "variants"),
    [
        (("cosine", "cosine:iterative", "last"), ["cosine", "last"], ["iterative"]),
        (("entrodrop:knn", "entrodrop:knn:stage-2"), ["entrodrop:knn"], ["stage-2"]),
        (("cosine:iterative",), ["cosine:iterative"], []),  # without the plain one, as only a shell can ask
        (
            ("entrodrop:knn", "entrodrop:knn:iterative:stage-2"),
            ["entrodrop:knn", "entrodrop:knn:iterative:stage-2"],
            [],
        ),
    ],
)
def test_the_pickers_say_what_a_stored_comparison_had(criteria, picked, variants):
    assert choices._picked(criteria) == (picked, variants)
    assert set(choices._with_variants(picked, variants)) == set(criteria)


def test_measuring_again_takes_part_beside_the_usual(open_app, smollm2, halves):
    app = open_page(open_app)
    app.pills(key="compare.variants").set_value(["iterative"]).run()
    app = compare(app, ("cosine", "last"), "3")
    table = app.dataframe[0].value.set_index("title")
    assert list(table.index) == ["Dense", "Cosine", "Cosine (measured again)", "Last"]
    alone = rank(smollm2, halves[0], "cosine", level="attn", budget=3, iterative=True)
    assert table.loc["Cosine (measured again)", "drop"] == str(alone.drop)
    (chart,) = figures(app)
    looks = {
        trace["name"]: (trace["line"]["dash"], trace["marker"]["symbol"])
        for trace in chart["data"]
        if trace["name"].startswith("Cosine")
    }
    assert len(set(looks.values())) == 2
