"""The Learn page inside the frame: sliders change what the estimators give, and exercises lead to Prune."""

import math
from functools import partial
from urllib.parse import parse_qs

import numpy as np
import pytest

import entviz
from entviz.blocks import PruneSet
from entviz.criteria import rank_by_analysis
from entviz.estimators import estimator
from entviz.lessons import exercises, samples
from entviz.text.passages import passages
from pages.parts.learn import estimators
from pages.parts.shared import selection
from tests.app.conftest import figures, settle, words


@pytest.fixture
def page(open_app):
    """Opens the Learn page at a link."""
    return partial(open_app, "learn")


@pytest.fixture(scope="module")
def windows(smollm2):
    return entviz.windows_from_text(passages()["news"].text, smollm2.tokenizer, windows=2, window_length=64)


@pytest.fixture(scope="module")
def analysis(smollm2, windows):
    return entviz.analyze(smollm2, windows)


def figure(app, *names):
    """The one figure on the page that has traces of all these names."""
    (found,) = [
        chart for chart in figures(app) if set(names) <= {trace.get("name") for trace in chart["data"]}
    ]
    return found


def trace(app, name):
    (found,) = [one for one in figure(app, name)["data"] if one.get("name") == name]
    return found


def number(app, label):
    (found,) = [metric.value for metric in app.metric if metric.label == label]
    return float(found.split()[0].replace("−", "-"))


def entropy_of(points, name, **options):
    import torch

    window = torch.tensor(np.asarray(points, dtype=np.float32)).unsqueeze(0)
    return float(estimator(name, **options)(window))


def links(app):
    return [(link.proto.page, parse_qs(link.proto.query_string)) for link in app.get("page_link")]


def test_everything_but_the_model_is_there_at_once(page):
    app = page()
    assert not app.exception
    assert [heading.value for heading in app.header] == ["Learn: from hidden states to two stages"]
    assert len(app.subheader) == 8
    assert len(figures(app)) >= 6  # the layer, five pictures of estimators, and perhaps the curve
    assert len(app.latex) == 9


def test_the_histogram_and_its_entropy_follow_the_sliders(page):
    app = page()
    for buckets, shape in ((20, "normal"), (7, "two groups")):
        app.slider(key="learn.bucket.buckets").set_value(buckets)
        app.segmented_control(key="learn.bucket.shape").set_value(shape).run()
        values = trace(app, "values")["x"]
        counts = trace(app, "tokens in a bucket")["y"]
        assert counts == list(np.histogram(values, buckets)[0])
        found = app.metric[0].value
        expected = entropy_of(np.array(values)[:, None], "bucket", buckets=buckets)
        assert found == f"{expected:.3f} nats"
        assert number(app, "Ceiling log B") == pytest.approx(math.log(buckets), abs=1e-3)


def test_a_far_token_collapses_the_bucket_entropy_and_a_new_sample_is_new(page):
    app = page()
    before = trace(app, "values")["x"]
    entropy = float(app.metric[0].value.split()[0])
    app.button(key="learn.bucket.another").click().run()
    assert trace(app, "values")["x"] != before
    app.slider(key="learn.bucket.far").set_value(estimators.FARTHEST).run()
    assert float(app.metric[0].value.split()[0]) < 0.1 * entropy
    assert max(trace(app, "values")["x"]) == estimators.FARTHEST


def test_radii_and_knn_entropy_follow_the_sliders(page):
    app = page()
    app.slider(key="learn.knn.k").set_value(9)
    app.slider(key="learn.knn.token").set_value(11)
    app.select_slider(key="learn.knn.spread").set_value(2.0).run()
    tokens = trace(app, "tokens")
    points = np.stack([tokens["x"], tokens["y"]], axis=1)
    assert points == pytest.approx(2 * samples.plane(estimators.POINTS, 1))
    distances = np.sort(np.linalg.norm(points[11] - points, axis=1))
    assert number(app, "Radius of token 11") == pytest.approx(distances[9], abs=1e-3)
    assert number(app, "Entropy H(cX)") == pytest.approx(entropy_of(points, "knn", k=9), abs=0.005)
    assert "1.386" in "".join(latex.value for latex in app.latex)  # both measured and 2 log 2


def test_the_kernel_follows_the_order_and_the_groups(page):
    app = page()
    app.slider(key="learn.renyi.alpha").set_value(2.0)
    app.slider(key="learn.renyi.groups").set_value(4).run()
    drawn = figure(app, "group 1", "group 4")
    points = np.concatenate([np.stack([one["x"], one["y"]], axis=1) for one in drawn["data"]])
    (heat,) = [chart["data"][0] for chart in figures(app) if chart["data"][0]["type"] == "heatmap"]
    expected = entropy_of(points, "renyi", alpha=2.0)
    assert -math.log(np.mean(heat["z"])) == pytest.approx(expected, rel=1e-3)
    shown = [metric.value for metric in app.metric if metric.label == "Entropy H"][1]
    assert shown == f"{expected:.4f} nats"


@pytest.mark.parametrize(
    ("direction", "length", "angle", "importance"),
    [(90, 1.0, "45.0°", 1 - math.sqrt(0.5)), (0, 2.0, "0.0°", 0.0), (180, 1.0, "none", 1.0)],
)
def test_the_angle_and_importance_follow_the_sliders(page, direction, length, angle, importance):
    app = page()
    app.slider(key="learn.turn.direction").set_value(direction)
    app.slider(key="learn.turn.length").set_value(length).run()
    assert not app.exception
    assert [metric.value for metric in app.metric if metric.label == "Angle θ"] == [angle]
    assert number(app, "Importance 1 − cos θ") == pytest.approx(importance, abs=1e-3)


def test_the_models_own_curve_and_what_it_says(page, analysis):
    app = settle(page())
    curve = trace(app, "mean over windows")
    sites = analysis.sites[analysis.sites["metric"] == "bucket"].sort_values("depth")
    assert curve["y"] == pytest.approx(list(sites["value"]), rel=1e-4)
    said = words(app)
    assert f"turns at layer {analysis.turning_point('bucket')}" in said
    assert "2 windows of 64 tokens" in said
    assert "massive activations" in said
    app.segmented_control(key="learn.metric").set_value("knn").run()
    assert "massive activations" not in words(app)
    assert "No two stages" in words(app)


def test_links_carry_prune_sets_chosen_by_the_measurement(page, analysis):
    app = settle(page())
    found = links(app)
    assert {where for where, _ in found} == {"prune"}
    expected = [choice.drop for one in exercises.exercises(analysis) for choice in one.choices]
    assert [query["drop"][0] for _, query in found] == expected
    assert all(
        query["model"] == [selection.DEFAULT_MODEL] and query["windows"] == ["2"] for _, query in found
    )
    app.segmented_control(key="learn.budget").set_value(4).run()
    chosen = rank_by_analysis(analysis, "entrodrop", estimator="knn", level="attn", budget=4).drop
    assert links(app)[-2][1]["drop"] == [str(chosen)]


def test_a_link_opens_prune_with_the_set_ticked(page):
    app = settle(page())
    where, query = links(app)[-1]
    app.switch_page(f"pages/{where}.py")
    for name, values in query.items():
        app.query_params[name] = values[0]
    app.run()
    assert not app.exception
    assert app.session_state["view"]["drop"] == query["drop"][0]


def test_measuring_an_exercise_gives_the_real_perplexities(page, analysis, windows, smollm2):
    app = settle(page())
    app.button(key="learn.measured.compressor.button").click().run()
    settle(app)
    chart = figures(app)[-1]
    drops = [choice.drop for choice in exercises.compressor(analysis).choices]
    assert [label.split("<br>")[0] for label in chart["data"][0]["y"]] == drops
    real = [entviz.evaluate(smollm2, windows, PruneSet.parse(drop)) for drop in drops]
    assert chart["data"][0]["x"] == pytest.approx([one.nll - one.dense_nll for one in real], abs=1e-4)
    verdict = exercises.answer_to(exercises.compressor(analysis), real)
    assert f"**{verdict.said}** {verdict.why}" in words(app)


def test_without_a_text_the_demonstrations_are_there_and_a_sentence(page):
    app = settle(page())
    app.selectbox(key="pick.text").set_value(selection.TYPED).run()
    assert not app.exception
    assert "There is no text yet" in words(app)
    assert "This is the earlier result" in words(app)
    assert not links(app)
    app.text_area(key="pick.typed_text").set_value("Too short.").run()
    settle(app)
    assert app.error
    assert len(figures(app)) == 7
