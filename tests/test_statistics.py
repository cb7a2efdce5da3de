"""Intervals against a calculation by hand, white noise, and simulated losses with a known mean."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter

from entviz.statistics import cosine_averages, cosine_basis, interval, reach, standard_error

# Marginal distributions of losses, made of a normal variable, and their means.
MARGINALS = {
    "normal": (lambda z: z, 0.0),
    "student": (lambda z: stats.t.ppf(stats.norm.cdf(z), 3), 0.0),  # heavy tails
    "exponential": (lambda z: -stats.norm.logsf(z), 1.0),
    "lognormal": (np.exp, math.exp(0.5)),  # skewness 6.2, as of divergences of a model without two layers
}
CORRELATIONS = (0.0, 0.3, 0.6)


def correlated(generator, shape, correlation):
    """Normal variables of variance 1 along the last axis, each correlated with the one before it."""
    noise = generator.normal(size=shape)
    noise[..., 1:] *= math.sqrt(1 - correlation**2)
    return lfilter([1.0], [1.0, -correlation], noise, axis=-1)


def coverage(marginal, correlation, windows, tokens, repeats, apart=0.0, seed=0):
    """How often the 95% interval holds the mean. ``apart`` is the variance of windows, their tokens' share being 1."""
    generator = np.random.default_rng(seed)
    transform, mean = MARGINALS[marginal]
    values = transform(correlated(generator, (repeats, windows, tokens), correlation))
    if apart:
        explained = values.mean(axis=-1).var()
        values = values + math.sqrt(apart * explained) * generator.normal(size=(repeats, windows, 1))
    averages = cosine_averages(values)
    return float((np.abs(averages[..., 0].mean(axis=-1) - mean) <= reach(averages)).mean())


def hard(marginal, correlation, windows, tokens):
    """The cases that the module names as its limit."""
    return marginal == "lognormal" and correlation == 0.6 and windows <= 2 and tokens < 64


def test_averages_by_hand():
    values = np.random.default_rng(1).normal(size=(2, 40))
    found = cosine_averages(values)
    weights = [math.sqrt(2) * math.cos(math.pi * 2 * (place + 0.5) / 40) for place in range(40)]
    assert found[:, 0] == pytest.approx(values.mean(axis=1))
    assert found[1, 2] == pytest.approx(sum(w * v for w, v in zip(weights, values[1], strict=True)) / 40)
    other = np.random.default_rng(2).normal(size=(2, 40))
    assert cosine_averages(values - other) == pytest.approx(found - cosine_averages(other))


def test_the_interval_of_many_windows_is_the_one_sample_t_interval_over_windows():
    values = np.random.default_rng(3).gamma(2.0, size=(20, 64))
    found = interval(cosine_averages(values), confidence=0.9)
    means = values.mean(axis=1)
    wanted = stats.ttest_1samp(means, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert found.mean == pytest.approx(means.mean())
    assert standard_error(cosine_averages(values)) == pytest.approx(stats.sem(means))


def test_a_paired_interval_of_window_means_by_hand():
    means = np.subtract([3.0, 4.0, 5.0, 8.0], [1.0, 3.0, 2.0, 4.0])[:, None]
    found = interval(means)
    half = (
        3.18245 * np.std([2, 1, 3, 4], ddof=1) / 2
    )  # Student's t of 3 degrees of freedom, from a printed table
    assert (found.mean, found.low, found.high) == pytest.approx((2.5, 2.5 - half, 2.5 + half), abs=1e-5)
    assert found.clear
    assert found.reach == pytest.approx(half, abs=1e-5)


def test_the_standard_error_of_independent_tokens_is_the_textbook_s_and_that_of_correlated_ones_is_larger():
    generator = np.random.default_rng(4)
    for correlation in (0.0, 0.6):
        values = correlated(generator, (4000, 2, 127), correlation)
        means = values.mean(axis=(1, 2))
        mean_square = math.sqrt((standard_error(cosine_averages(values)) ** 2).mean())
        assert mean_square == pytest.approx(means.std(), rel=0.06)
    assert mean_square > 1.8 / math.sqrt(2 * 127)


def test_too_little_has_an_infinite_interval():
    for values in (np.ones((1, 1)), np.arange(8.0)[None]):
        found = interval(cosine_averages(values))
        assert (found.low, found.high) == (-math.inf, math.inf)
        assert not found.clear
        assert found.to_json() == {"mean": values.mean(), "low": None, "high": None}
        assert math.isnan(standard_error(cosine_averages(values)))
    assert math.isfinite(interval(cosine_averages(np.arange(9.0)[None])).low)


def test_what_is_kept_does_not_grow_with_the_text():
    assert cosine_basis(64, 1023).shape == (1, 1023)
    assert max(n * len(cosine_basis(n, 10_000)) for n in range(1, 17)) <= 32


@pytest.mark.parametrize("windows", [1, 2, 4])
def test_95_percent_intervals_hold_the_mean_in_92_to_97_percent_of_cases(windows):
    for marginal in ("normal", "exponential"):
        for correlation in CORRELATIONS:
            found = coverage(marginal, correlation, windows, 127, repeats=3000)
            assert 0.915 <= found <= 0.97, (marginal, correlation, found)  # half a point for 3000 repeats


@pytest.mark.exhaustive
@pytest.mark.parametrize("windows", [1, 2, 4, 16, 64])
@pytest.mark.parametrize("marginal", MARGINALS)
def test_coverage_over_the_whole_grid(marginal, windows):
    for correlation in CORRELATIONS:
        for tokens in (63, 127, 255):
            found = coverage(marginal, correlation, windows, tokens, repeats=10_000 if windows <= 4 else 2000)
            least = 0.895 if hard(marginal, correlation, windows, tokens) else 0.915
            assert least <= found <= 0.97, (correlation, tokens, found)


@pytest.mark.exhaustive
def test_windows_that_differ_by_more_than_their_tokens_explain():
    for marginal in MARGINALS:
        for windows in (1, 2, 4, 8):
            assert 0.79 <= coverage(marginal, 0.3, windows, 127, 2000, apart=1.0) <= 0.95, (
                marginal,
                windows,
            )
        for windows in (16, 64):  # from here on they are seen
            assert 0.925 <= coverage(marginal, 0.3, windows, 127, 2000, apart=1.0) <= 0.97, (
                marginal,
                windows,
            )
