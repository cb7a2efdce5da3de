"""A comparison in words: whether entropy beats cosine, which criterion is best, and which are no better than chance.

    for paragraph in verdict(comparison):
        print(paragraph)

Prune sets are compared by their losses on the same tokens. A difference is reported only if its 95% interval
(:mod:`entviz.statistics`) does not contain 0. If the best of several is selected first, the confidence is raised for
the number of candidates (Bonferroni), because the best of many can look good by chance.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import pandas as pd

from entviz.comparison.grid.cell import nll_averages
from entviz.evaluation.perplexity import in_words
from entviz.statistics import CONFIDENCE, Interval, interval
from entviz.words.levels import level_nouns
from entviz.words.phrases import decimals, listed


class Measured(Protocol):
    """The data that the verdict needs; :class:`entviz.comparison.grid.result.Comparison` provides it."""

    @property
    def budgets(self) -> tuple[str, ...]: ...
    @property
    def windows(self) -> int: ...
    @property
    def rows(self) -> pd.DataFrame: ...
    def table(self) -> pd.DataFrame: ...


def verdict(comparison: Measured) -> list[str]:
    """A paragraph for each level and budget, and one that explains the intervals.

    Each compares entropy with cosine, and says which criterion is best and which are no better than random.
    """
    said: list[str] = []
    table = comparison.table()
    levels = list(dict.fromkeys(table["level"]))
    for level in levels:
        for budget in comparison.budgets:
            here = table[(table["level"] == level) & (table["budget"] == budget)]
            repaired = here["repair"].fillna("") != "" if "repair" in here else here["nll"] != here["nll"]
            plain = here[~repaired]
            found = [
                *_entropy_against_cosine(plain),
                *_best(plain),
                *_no_better_than_random(plain),
                *_repaired(plain, here[repaired]),
            ]
            if found:
                said.append(f"{_at(level, budget)}: {' '.join(found)}")
    return [*said, _meaning(comparison)] if said else []


def _entropy_against_cosine(here: pd.DataFrame) -> list[str]:
    entropies = here[here["criterion"] == "entrodrop"]
    cosines = here[here["criterion"] == "cosine"]
    if entropies.empty or cosines.empty:
        return []
    cosine, best = cosines.iloc[0], entropies.loc[entropies["nll"].idxmin()]
    if cosine["drop"] == best["drop"]:
        return [f"Cosine and {best['title']} drop the same blocks."]
    # Cosine against the best entropy: if it beats that one, it beats them all.
    difference = _difference(best, cosine, len(entropies))
    many = len(entropies) > 1
    if not difference.clear:
        said = f"Cosine and {'the best entropy' if many else 'entropy'} show no clear difference."
    elif difference.mean > 0:
        said = f"Cosine does better than {'every entropy' if many else 'entropy'}."
    else:
        said = "Entropy does better than cosine."
    numbers = f"Perplexity is {_perplexity(cosine)} for cosine and {_perplexity(best)} for {best['title']}."
    return [said, numbers, _apart(difference)]


def _best(here: pd.DataFrame) -> list[str]:
    if len(here) < 2:
        return []
    ranked = here.sort_values("nll", kind="stable")
    first = ranked.iloc[0]
    others = ranked[ranked["drop"] != first["drop"]]
    if others.empty:
        return []
    equal = [str(name) for name in ranked.loc[ranked["drop"] == first["drop"], "title"]]
    second = others.iloc[0]
    one = len(equal) == 1
    perplexity = f"perplexity {_perplexity(first)}"
    following = f"Next is {second['title']}: {_perplexity(second)}."
    if _difference(first, second, len(here) - 1).clear:
        return [f"{listed(equal)} {'is' if one else 'are'} best: {perplexity}.", following]
    return [
        "No criterion is clearly best.",
        f"{listed(equal)} {'has' if one else 'have'} the lowest perplexity: {_perplexity(first)}.",
        following,
    ]


def _no_better_than_random(here: pd.DataFrame) -> list[str]:
    randoms = here[here["criterion"] == "random"]
    others = here[here["criterion"] != "random"]
    if randoms.empty or others.empty:
        return []
    random = randoms.iloc[0]
    losers = [str(row["title"]) for _, row in others.iterrows() if _difference(row, random, 1).high >= 0]
    if not losers:
        return []
    count = int(random["seeds"])
    what = "the random prune set" if count == 1 else f"the mean of {count} random prune sets"
    verb = "is" if len(losers) == 1 else "are"
    return [f"{listed(losers)} {verb} not clearly better than {what} (perplexity {_perplexity(random)})."]


def _repaired(plain: pd.DataFrame, repaired: pd.DataFrame) -> list[str]:
    """For each repair, the best prune set with it beside the best without."""
    if plain.empty or repaired.empty:  # a comparison from before there were repairs has no column of them
        return []
    best = plain.loc[plain["nll"].idxmin()]
    said = []
    for repair, group in repaired.groupby("repair", sort=False):
        first = group.loc[group["nll"].idxmin()]
        difference = _difference(best, first, len(group))
        how = "no clear difference" if not difference.clear else "better" if difference.mean > 0 else "worse"
        said.append(
            f"Repaired by {repair}, {first['title'].replace(f', {repair})', ')').replace(f' ({repair})', '')} is best: "
            f"perplexity {_perplexity(first)}, against {_perplexity(best)} of the best without repair ({how})."
        )
    return said


def _difference(a: Any, b: Any, comparisons: int) -> Interval:
    confidence = 1 - (1 - CONFIDENCE) / max(1, comparisons)
    return interval(nll_averages(a) - nll_averages(b), confidence)


def _apart(difference: Interval) -> str:
    size = f"Their losses differ by {decimals(abs(difference.mean), 2)} nats a token"
    if not math.isfinite(difference.low):
        return f"{size}; one window gives no interval."
    low, high = (
        (difference.low, difference.high) if difference.mean >= 0 else (-difference.high, -difference.low)
    )
    return f"{size} (interval {decimals(low, 2)} to {decimals(high, 2)})."


def _meaning(comparison: Measured) -> str:
    """The meaning of the intervals, and whether they are wider or narrower than they could be."""
    if "nll_cosines" not in comparison.rows:
        return (
            "Intervals are 95% intervals over windows. An earlier version of entviz measured this and kept no losses "
            "of tokens: compare again for narrower intervals."
        )
    said = "Intervals are 95% intervals for more text like the one measured, not for other texts."
    alone = (
        " One window was measured: another part of the text may differ by more."
        if comparison.windows == 1
        else ""
    )
    return said + alone


def _at(level: str, budget: str) -> str:
    if budget.isdigit():
        return f"At {budget} {level_nouns(level, int(budget))} dropped"
    return f"At a budget of {budget} in {level_nouns(level)}"


def _perplexity(row: Any) -> str:
    return in_words(float(row["perplexity"]), ".4g")
