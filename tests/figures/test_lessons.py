"""The Learn page's demonstrations and their figures, against brute force and the formulas."""

import math

import numpy as np
import pytest

from entviz.figures import lesson_costs, lesson_estimators, lesson_stream
from entviz.lessons import demonstrations, samples
from entviz.lessons.exercises import ChoiceCost


def trace(figure, name):
    (found,) = [one for one in figure.data if one.name == name]
    return found


def brute_distances(points):
    wide = points.astype(np.float64)
    return np.sqrt(((wide[:, None] - wide[None]) ** 2).sum(axis=2))


@pytest.mark.parametrize("shape", samples.SHAPES)
def test_samples_have_the_spread_they_say_and_repeat_by_seed(shape):
    values = samples.line(shape, 20_000, seed=1)
    assert values.mean() == pytest.approx(0, abs=0.03)
    assert values.std() == pytest.approx(1, abs=0.03)
    assert (samples.line(shape, 256, seed=4) == samples.line(shape, 256, seed=4)).all()
    assert (samples.line(shape, 256, seed=4) != samples.line(shape, 256, seed=5)).any()


def test_one_value_far_out_leaves_the_others_as_they_were():
    plain, far = samples.line("normal", 100, seed=2), samples.line("normal", 100, seed=2, far=50.0)
    assert far[0] == 50.0
    assert (far[1:] == plain[1:]).all()


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_groups_are_equally_large_and_neighbouring_centres_as_far_apart_as_asked(number):
    points, group = samples.groups(12_000, seed=1, number=number, apart=6.0)
    assert set(np.bincount(group)) == {12_000 // number}
    centres = [points[group == one].mean(axis=0) for one in range(number)]
    for one in range(1, number):
        assert math.dist(centres[one], centres[one - 1]) == pytest.approx(6.0, abs=0.1)


@pytest.mark.parametrize("buckets", [2, 7, 20, 60])
@pytest.mark.parametrize("far", [None, 80.0])
def test_the_bars_are_the_counts_between_the_edges_and_give_the_entropy(buckets, far):
    values = samples.line("two groups", 256, seed=3, far=far)
    shown = demonstrations.histogram(values, buckets)
    figure = lesson_estimators.histogram(shown)
    bars = trace(figure, "tokens in a bucket")
    expected, edges = np.histogram(values.astype(np.float64), buckets)
    assert list(bars.y) == list(expected)
    assert np.allclose(bars.x - bars.width / 2, edges[:-1], atol=1e-5)
    assert np.allclose(bars.x + bars.width / 2, edges[1:], atol=1e-5)
    assert np.allclose(trace(figure, "bucket edges").x[::3], edges, atol=1e-5)
    share = expected[expected > 0] / 256
    assert shown.entropy == pytest.approx(-(share * np.log(share)).sum(), abs=1e-6)
    assert shown.ceiling == math.log(buckets)
    assert shown.entropy <= shown.ceiling + 1e-9


def test_bucket_entropy_ignores_spread_and_collapses_with_one_far_value():
    values = samples.line("normal", 256, seed=1)
    plain = demonstrations.histogram(values, 20)
    assert demonstrations.histogram(2 * values, 20).entropy == pytest.approx(plain.entropy, abs=1e-6)
    far = demonstrations.histogram(samples.line("normal", 256, seed=1, far=200.0), 20)
    assert far.entropy < 0.1 * plain.entropy


def test_a_far_value_is_still_on_the_axis():
    shown = demonstrations.histogram(samples.line("normal", 256, seed=1, far=200.0), 20)
    low, high = lesson_estimators.histogram(shown).layout.xaxis.range
    assert low < -200 < 200 < high


def test_values_that_are_all_the_same_have_no_entropy():
    assert demonstrations.histogram(np.ones(8, np.float32), 5).entropy == 0


@pytest.mark.parametrize("k", [1, 5, 30])
def test_circles_reach_the_kth_nearest_other_point(k):
    points = samples.plane(60, seed=2)
    shown = demonstrations.neighbours(points, k)
    figure = lesson_estimators.neighbours(shown, chosen=9)
    ordered = np.sort(brute_distances(points), axis=1)  # the nearest is the point itself
    assert shown.radii == pytest.approx(ordered[:, k], rel=1e-4)
    rings = trace(figure, "radius of each token")
    x, y = (np.asarray(axis).reshape(60, -1)[:, :-1] for axis in (rings.x, rings.y))
    for token, (around_x, around_y) in enumerate(zip(x, y, strict=True)):
        distance = np.hypot(around_x - points[token, 0], around_y - points[token, 1])
        assert distance == pytest.approx(np.full(len(distance), ordered[token, k]), rel=1e-4)
    link = trace(figure, f"to its neighbour number {k}")
    start, end = np.stack([link.x, link.y], axis=1)
    assert start == pytest.approx(points[9])
    assert math.dist(start, end) == pytest.approx(ordered[9, k], rel=1e-4)
    assert f"{ordered[9, k]:.3f} away" in trace(figure, "tokens").customdata[9]


@pytest.mark.parametrize("spread", [0.5, 1.5, 2.0])
def test_knn_entropy_grows_by_d_log_c(spread):
    points = samples.plane(60, seed=3)
    grown = (
        demonstrations.neighbours(spread * points, 5).entropy - demonstrations.neighbours(points, 5).entropy
    )
    assert grown == pytest.approx(2 * math.log(spread), abs=1e-4)


@pytest.mark.parametrize("alpha", [1.5, 4.0, 8.0])
def test_the_kernel_drawn_is_the_one_measured(alpha):
    points, _ = samples.groups(48, seed=1, number=3, apart=5.0)
    shown = demonstrations.similarities(points, alpha)
    wide = points.astype(np.float64)
    distances = brute_distances((wide - wide.mean(axis=0)) / wide.std(axis=0, ddof=1))
    scale = np.sort(distances.ravel())[(48 * 48 - 1) // 2]
    powers = np.exp(-(distances**2) / (2 * scale**2)) ** (alpha - 1)
    assert shown.scale == pytest.approx(scale, rel=1e-4)
    assert np.allclose(lesson_estimators.kernel(shown).data[0].z, powers, atol=1e-4)
    assert shown.entropy == pytest.approx(math.log(powers.mean()) / (1 - alpha), rel=1e-3)


def test_renyi_entropy_does_not_rise_with_the_order():
    points, _ = samples.groups(48, seed=1, number=2, apart=3.0)
    found = [demonstrations.similarities(points, alpha).entropy for alpha in np.arange(1.5, 8.5, 0.5)]
    assert found == sorted(found, reverse=True)


def test_every_group_has_its_own_sign_in_the_picture_of_points():
    points, group = samples.groups(48, seed=1, number=4, apart=5.0)
    figure = lesson_estimators.points(demonstrations.similarities(points, 4.0), group)
    assert [len(one.x) for one in figure.data] == [12, 12, 12, 12]
    assert len({one.marker.symbol for one in figure.data}) == 4
    assert len({one.marker.color for one in figure.data}) == 4


@pytest.mark.parametrize(("direction", "length"), [(70, 0.8), (-135, 2.0), (0, 2.0), (180, 0.5), (90, 0.0)])
def test_the_angle_drawn_is_the_one_between_the_arrows(direction, length):
    shown = demonstrations.turn(direction, length)
    figure = lesson_estimators.turn(shown)
    before, after = trace(figure, "x: before"), trace(figure, "y: after")
    x, y = ([one.x[1], one.y[1]] for one in (before, after))
    expected = math.degrees(math.acos(np.clip(np.dot(x, y) / np.linalg.norm(x) / np.linalg.norm(y), -1, 1)))
    assert shown.angle == pytest.approx(expected, abs=1e-4)
    assert shown.importance == pytest.approx(1 - math.cos(math.radians(expected)), abs=1e-6)
    (arc,) = [one for one in figure.data if str(one.name).startswith("angle")]
    assert math.degrees(math.atan2(arc.y[-1], arc.x[-1])) == pytest.approx(
        math.degrees(math.atan2(y[1], y[0])), abs=1e-4
    )
    added = trace(figure, "what the block adds")
    assert (added.x[1], added.y[1]) == pytest.approx(tuple(y))


def test_a_state_that_is_cancelled_has_no_angle_and_no_arc():
    shown = demonstrations.turn(180, 1.0)
    assert math.isnan(shown.angle)
    assert shown.importance == pytest.approx(1)  # as the estimator counts what has no direction
    assert not [one for one in lesson_estimators.turn(shown).data if str(one.name).startswith("angle")]


@pytest.mark.parametrize(("dropped", "left"), [((), 2), (("attn",), 1), (("mlp",), 1), (("attn", "mlp"), 0)])
def test_a_dropped_block_adds_nothing_to_the_drawing_of_a_layer(dropped, left):
    figure = lesson_stream.layer(dropped)
    written = [one.text for one in figure.layout.annotations]
    assert written.count("<b>+</b>") == left
    assert sum("dropped" in text for text in written) == len(dropped)
    assert {"<b>layer.i−1</b>", "<b>attn.i</b>", "<b>layer.i</b>"} <= set(written)


def test_bars_of_costs_say_the_loss_its_error_and_the_perplexity():
    found = [ChoiceCost(1.5, 0.1, 243.0, 53.2), ChoiceCost(-0.01, 0.02, 52.7, 53.2)]
    figure = lesson_costs.costs(["attn.0", "attn.7"], found)
    (bars,) = figure.data
    assert list(bars.y) == ["attn.0<br>perplexity 243.0", "attn.7<br>perplexity 52.70"]
    assert list(bars.x) == [1.5, -0.01]
    assert list(bars.error_x.array) == [0.1, 0.02]
    low, high = figure.layout.xaxis.range
    assert low < -0.03
    assert high > 1.6
