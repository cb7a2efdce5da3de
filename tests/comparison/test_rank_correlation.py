"""Ranks, correlations and intervals against definitions written out, against pandas, and against known populations."""

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from entviz.comparison.rank_correlation import interval, kendall, ranks, resample, spearman

RANDOM = np.random.default_rng(5)


def with_ties(rows=200, columns=12):
    return RANDOM.integers(0, 7, size=(rows, columns)).astype(float)


def test_ranks_share_the_mean_where_values_are_equal():
    assert ranks(np.array([3.0, 1.0, 3.0, 2.0, 3.0])).tolist() == [4.0, 1.0, 4.0, 2.0, 4.0]
    values = with_ties()
    assert ranks(values) == pytest.approx(pd.DataFrame(values).rank(axis=1).to_numpy())
    assert values.max() <= 7  # the input is left as it was


def test_spearman_is_that_of_pandas_with_ties():
    x, y = with_ties(), with_ties()
    pairs = [pd.DataFrame({"x": a, "y": b}) for a, b in zip(x, y, strict=True)]
    wanted = [pair.corr(method="spearman").at["x", "y"] for pair in pairs]
    assert spearman(x, y) == pytest.approx(np.array(wanted))


def test_spearman_of_distinct_values_is_the_textbook_formula():
    x, y = RANDOM.permutation(10), RANDOM.permutation(10)
    wanted = 1 - 6 * ((x - y) ** 2).sum() / (10 * 99)
    assert spearman(np.exp(x), y**3.0) == pytest.approx(wanted)  # and only the order counts


def test_a_constant_or_a_missing_score_has_no_correlation():
    y = np.arange(6.0)
    assert math.isnan(spearman(np.ones(6), y))
    assert math.isnan(spearman(y, np.zeros(6)))
    assert math.isnan(spearman(np.array([0.0, 1.0, np.nan, 3.0, 4.0, 5.0]), y))
    assert math.isnan(kendall(np.ones(6), y))


def test_kendall_counts_pairs():
    x, y = with_ties(2, 15)
    agree = disagree = tied_x = tied_y = 0
    for i, j in combinations(range(15), 2):
        same = (x[i] - x[j]) * (y[i] - y[j])
        agree, disagree = agree + (same > 0), disagree + (same < 0)
        tied_x, tied_y = tied_x + (x[i] == x[j]), tied_y + (y[i] == y[j])
    pairs = 15 * 14 / 2
    wanted = (agree - disagree) / math.sqrt((pairs - tied_x) * (pairs - tied_y))
    assert kendall(x, y) == pytest.approx(wanted)


def test_a_resample_is_a_mean_over_windows_of_drawn_blocks():
    draw = resample(blocks=7, windows=3, count=50, seed=1)
    assert draw.weights.sum(axis=1) == pytest.approx(np.ones(50))
    assert set(np.unique(draw.weights * 3).round(9)) <= {0.0, 1.0, 2.0, 3.0}
    by_window = RANDOM.normal(size=(7, 3))
    drawn = draw.of(by_window)
    for number in (0, 17, 49):
        wanted = [by_window[block] @ draw.weights[number] for block in draw.blocks[number]]
        assert drawn[number] == pytest.approx(wanted)
    assert resample(7, 3, 50, seed=1).blocks.tolist() == draw.blocks.tolist()
    assert resample(7, 1, 50).weights.tolist() == [[1.0]] * 50


def test_an_interval_of_many_normal_resamples_is_the_normal_one():
    draws = RANDOM.normal(0.3, 0.1, size=200_000)
    assert interval(0.3, draws) == pytest.approx((0.3 - 0.196, 0.3 + 0.196), abs=0.003)
    low, high = interval(0.35, draws)  # resamples lie too low by 0.05, so the interval moves up by twice that
    assert (low, high) == pytest.approx((0.4 - 0.196, 0.4 + 0.196), abs=0.01)


def test_an_interval_needs_an_estimate_and_resamples_that_have_one():
    assert all(map(math.isnan, interval(math.nan, np.ones(9))))
    assert all(map(math.isnan, interval(0.5, np.array([0.5, np.nan, np.nan]))))
    assert all(map(math.isnan, interval(0.5, np.empty(0))))
    assert interval(1.0, np.ones(100)) == (1.0, 1.0)


@pytest.mark.parametrize("noise", [0.3, 0.6])
def test_intervals_hold_the_population_s_correlation_about_as_often_as_they_say(noise):
    generator = np.random.default_rng(0)
    correlation, blocks, windows, tries = 0.8, 30, 4, 300
    # Pearson's and Spearman's coefficient of a normal population (Pearson 1907)
    truth = 6 / math.pi * math.asin(correlation / 2)
    draw = resample(blocks, windows, 400)
    held = 0
    for _ in range(tries):
        score = generator.normal(size=(blocks, 1))
        hurt = correlation * score + math.sqrt(1 - correlation**2) * generator.normal(size=(blocks, 1))
        score = score + 0.2 * noise * generator.normal(size=(blocks, windows))
        hurt = hurt + noise * generator.normal(size=(blocks, windows))
        estimate = float(spearman(score.mean(axis=1), hurt.mean(axis=1)))
        low, high = interval(estimate, spearman(draw.of(score), draw.of(hurt)))
        held += low <= truth <= high
    assert 0.9 <= held / tries <= 0.98
