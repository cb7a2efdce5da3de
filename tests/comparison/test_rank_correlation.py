"""Ranks, correlations and intervals against explicit definitions, against pandas, and against known populations."""

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from entviz.comparison.trust.rank_correlation import interval, kendall, ranks, resample, spearman
from entviz.statistics import cosine_averages, cosine_basis, standard_error

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


def test_a_resample_has_drawn_blocks_with_the_noise_of_their_standard_errors():
    averages = cosine_averages(RANDOM.normal(size=(7, 3, 100)) + np.arange(7.0)[:, None, None])
    draw = resample(blocks=7, windows=3, count=40_000, seed=1, averages=averages.shape[2])
    drawn = draw.of(averages)
    for block in range(7):
        of_it = drawn[draw.blocks == block]
        assert of_it.mean() == pytest.approx(averages[block, :, 0].mean(), abs=0.005)
        assert of_it.std() == pytest.approx(standard_error(averages)[block], rel=0.02)
    assert resample(7, 3, 50, seed=1).blocks.tolist() == resample(7, 3, 50, seed=1).blocks.tolist()
    # What is common to all blocks leaves their order as it is.
    common = np.arange(7.0)[:, None, None] + cosine_averages(RANDOM.normal(size=(1, 3, 100)))
    common[..., 1:] -= np.arange(7.0)[:, None, None]
    drawn = resample(7, 3, 50, averages=common.shape[2])
    places = drawn.of(common)
    assert (
        np.argsort(places, axis=1, kind="stable") == np.argsort(drawn.blocks, axis=1, kind="stable")
    ).all()
    # A single mean tells nothing of its noise.
    assert resample(7, 1, 50).of(np.arange(7.0)[:, None, None]).tolist() == resample(7, 1, 50).blocks.tolist()


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


def coverage(blocks, windows, noise, tries):
    """How often the interval of a rank correlation holds that of the population of blocks and tokens."""
    generator = np.random.default_rng(0)
    correlation, tokens = 0.8, 127
    # Pearson's and Spearman's coefficient of a normal population (Pearson 1907)
    truth = 6 / math.pi * math.asin(correlation / 2)
    draw = resample(blocks, windows, 400, averages=len(cosine_basis(windows, tokens)))
    held = 0
    for _ in range(tries):
        score = generator.normal(size=(blocks, 1))
        hurt = correlation * score + math.sqrt(1 - correlation**2) * generator.normal(size=(blocks, 1))
        score = score + 0.2 * noise * generator.normal(size=(blocks, windows))
        of_tokens = math.sqrt(tokens) * noise * generator.normal(size=(blocks, windows, tokens))
        hurt = cosine_averages(hurt[..., None] + of_tokens)
        estimate = float(spearman(score.mean(axis=1), hurt[..., 0].mean(axis=1)))
        low, high = interval(estimate, spearman(draw.of(score[..., None]), draw.of(hurt)))
        held += low <= truth <= high
    return held / tries


@pytest.mark.parametrize(("windows", "noise"), [(1, 0.3), (2, 0.6), (4, 0.6)])
def test_intervals_hold_the_population_s_correlation_about_as_often_as_they_say(windows, noise):
    assert 0.89 <= coverage(30, windows, noise, tries=200) <= 0.985


@pytest.mark.exhaustive
@pytest.mark.parametrize("blocks", [12, 30, 60])
@pytest.mark.parametrize("windows", [1, 2, 4, 8])
@pytest.mark.parametrize("noise", [0.3, 0.6])
def test_coverage_over_the_whole_grid(blocks, windows, noise):
    hard = (blocks, windows, noise) == (60, 1, 0.6)  # the limit that trust() names
    assert (0.68 if hard else 0.89) <= coverage(blocks, windows, noise, tries=1000) <= 0.98
