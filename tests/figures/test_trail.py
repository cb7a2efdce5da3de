"""The chart of the prune sets that were tried: each at its numbers, clickable, with criteria behind at this scale."""

import numpy as np
import pandas as pd
import pytest

from entviz.blocks import PruneSet
from entviz.comparison.grid.result import Comparison
from entviz.comparison.trail import Difference, Stop, Trail
from entviz.figures import theme, trail
from entviz.statistics import Interval


def way():
    found = Trail()
    for drop, perplexity, kept in (("", 20.0, 1.0), ("attn.1", 30.0, 0.9), ("mlp.1", 90.0, 0.95)):
        kl = Interval(perplexity / 100, 0.1, 0.3)
        found = found.visited(
            Stop(PruneSet.parse(drop), "news", perplexity, 20.0, kl, kl, 0.8, int(1e6 * kept), kept)
        )
    return found


def traces(figure):
    return {trace.name: trace for trace in figure.data}


def comparison():
    rows = pd.DataFrame(
        {
            "name": ["cosine", "cosine", "random", "random"],
            "title": ["Cosine", "Cosine", "Random", "Random"],
            "level": "attn",
            "budget": ["1", "2", "1", "1"],
            "drop": ["attn.1", "attn.1,attn.2", "attn.0", "attn.3"],
            "nll": np.log([22.0, 33.0, 44.0, 88.0]),
            "perplexity": [22.0, 33.0, 44.0, 88.0],
            "kl": [0.1, 0.2, 0.3, 0.5],
            "top1_agreement": 0.9,
            "accuracy": np.nan,
            "accuracy_normalized": np.nan,
            "parameters_kept": [0.95, 0.9, 0.95, 0.95],
            "speedup": 1.0,
            "tokens_per_second": 1.0,
        }
    )
    dense = pd.DataFrame({"perplexity": [11.0]})
    return Comparison(*("m", 30, 2, 2, 64, False, ("1", "2"), "", 0, "float32", dense, rows, (), 4, 1.0))


def test_each_prune_set_is_a_point_that_knows_its_number():
    found = way()
    points = traces(trail.trail_chart(found.table("news"), "perplexity", found.steps))[trail.POINTS]
    assert list(points.x) == [100, 90, 95]
    assert list(points.y) == [20, 30, 90]
    assert [data[0] for data in points.customdata] == [1, 2, 3]
    assert "without attn.1" in points.customdata[1][1]
    assert "(you are here)" in points.customdata[2][1]
    assert list(points.marker.color) == [theme.BLUE, theme.BLUE, theme.VERMILION]
    assert points.hovertemplate.startswith("%{customdata[1]}")


def test_points_that_keep_nearly_as_many_parameters_stand_together():
    """The axis spans a percent at least: what a bias adds is no distance."""
    found = Trail()
    for perplexity, kept in ((30.0, 0.95), (20.0, 0.95001)):
        kl = Interval(0.2, 0.1, 0.3)
        stop = Stop(PruneSet.parse("attn.1"), "news", perplexity, 20.0, kl, kl, 0.8, int(1e6 * kept), kept)
        found = found.visited(stop)
        start, end = trail.trail_chart(found.table("news"), "perplexity", found.steps).layout.xaxis.range
        assert end - start == pytest.approx(1)
        assert start < 95 < end
    whole = trail.trail_chart(way().table("news"), "perplexity", way().steps)
    assert whole.layout.xaxis.range is None


def test_the_best_are_marked_and_the_way_goes_from_one_to_the_next():
    found = way().visited(way().stops[0])
    shown = traces(trail.trail_chart(found.table("news"), "kl", found.steps))
    best = next(trace for name, trace in shown.items() if name.startswith("best"))
    assert sorted(best.x) == [
        90,
        100,
    ]  # the third has more parameters than the second and a higher perplexity
    assert list(shown["your way"].x) == [100, 90, 95, 100]
    assert list(shown["your way"].y) == pytest.approx([0.2, 0.3, 0.9, 0.2])


def test_criteria_stand_behind_at_the_scale_of_this_text():
    """Measured on other text, they are multiples of the dense model there: 22 of 11 is 40 where dense has 20."""
    found = way()
    figure = trail.trail_chart(found.table("news"), "perplexity", found.steps, comparison=comparison())
    shown = traces(figure)
    assert list(shown["Cosine"].x) == [90, 95]
    assert list(shown["Cosine"].y) == pytest.approx([60, 40])
    band = shown["Random, best to worst of 2"]
    assert sorted(set(np.round(band.y, 6))) == [80, 160]
    assert figure.data[-1].name == trail.POINTS, "what can be clicked lies on top"
    of_kl = traces(trail.trail_chart(found.table("news"), "kl", found.steps, comparison=comparison()))
    assert list(of_kl["Cosine"].y) == pytest.approx([0.2, 0.1])


def test_pinned_prune_sets_have_their_letters():
    found = way()
    figure = trail.trail_chart(found.table("news"), "perplexity", found.steps, pinned={"A": 1, "B": 3})
    assert list(traces(figure)[trail.POINTS].text) == ["A", "", "B"]


def test_a_difference_is_said_with_its_uncertainty_and_its_blocks():
    clear, unclear = Interval(0.5, 0.4, 0.6), Interval(0.01, -0.02, 0.04)
    found = Difference(
        clear, unclear, (20.0, 33.0), -2_500_000, PruneSet.parse("attn.1"), PruneSet.parse("mlp.2,mlp.3")
    )
    said = " ".join(trail.said(found))
    assert "Perplexity 20 in A, 33 in B: B's is 1.65 times A's." in said
    assert "Loss, B minus A: +0.5000 ± 0.1000 nats a token." in said
    assert (
        "KL from dense, B minus A: +0.0100 ± 0.0300 nats, so which is lower is not clear on this text."
        in said
    )
    assert "B keeps 2.50 million parameters fewer than A." in said
    assert "Only A drops attn.1; only B drops mlp.2 and mlp.3." in said


def test_repaired_prune_sets_are_points_of_another_shape_and_say_so():
    found = way()
    none = Interval(0.1, 0.1, 0.1)
    found = found.visited(
        Stop(
            PruneSet.parse("attn.1"),
            *("news", 25.0, 20.0, none, none, 0.9, 900_000, 0.9),
            repair="Refitted projections",
            repaired_by="refit",
        )
    )
    drawn = traces(trail.trail_chart(found.table("news"), "perplexity", found.steps))
    assert list(drawn[trail.POINTS].y) == [20, 30, 90]
    mended = drawn[trail.REPAIRED]
    assert list(mended.y) == [25]
    assert mended.customdata[0][0] == 4
    assert "repaired</b>: Refitted projections" in mended.customdata[0][1]
    assert mended.marker.symbol[0] not in drawn[trail.POINTS].marker.symbol
    assert "repaired" not in "".join(data[1] for data in drawn[trail.POINTS].customdata)
