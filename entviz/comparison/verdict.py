"""A comparison in words: whether entropy beats cosine, who is best, and who is no better than chance.

    for paragraph in verdict(comparison):
        print(paragraph)

Prune sets are compared by their loss on the same windows, in pairs, and a difference is called one only where its 95%
interval leaves out 0. Where the best of several is picked first, the confidence is raised for the number it was
picked from (Bonferroni), since the luckiest of many looks good by chance.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from entviz.comparison.interval import Difference, paired_difference
from entviz.comparison.result import Comparison
from entviz.wording import listed

CONFIDENCE = 0.95
_NOUNS = {"attn": "attentions", "mlp": "MLPs", "layer": "layers", "attn+mlp": "attentions and MLPs"}


def verdict(comparison: Comparison) -> list[str]:
    """A paragraph on each level and budget: entropy against cosine, the best, and what is no better than random."""
    said: list[str] = []
    table = comparison.table()
    levels = list(dict.fromkeys(table["level"]))
    for level in levels:
        for budget in comparison.budgets:
            here = table[(table["level"] == level) & (table["budget"] == budget)]
            sentences = (_entropy_against_cosine(here), _best(here), _no_better_than_random(here))
            found = [sentence for sentence in sentences if sentence]
            if found:
                rest = "".join(f" {sentence[0].upper()}{sentence[1:]}" for sentence in found[1:])
                said.append(f"{_at(level, budget)}, {found[0]}{rest}")
    if said and comparison.windows == 1:
        said.append(
            "One window was measured, which cannot tell a difference from chance: give more text or shorter windows."
        )
    return said


def _entropy_against_cosine(here: pd.DataFrame) -> str | None:
    entropies = here[here["criterion"] == "entrodrop"]
    cosines = here[here["criterion"] == "cosine"]
    if entropies.empty or cosines.empty:
        return None
    cosine, best = cosines.iloc[0], entropies.loc[entropies["nll"].idxmin()]
    if cosine["drop"] == best["drop"]:
        return f"cosine and {best['title']} drop the same blocks."
    # Cosine against the best entropy: if it beats that one, it beats them all.
    difference = _difference(best, cosine, len(entropies))
    numbers = f"perplexity {cosine['perplexity']:.4g} against {best['perplexity']:.4g} ({best['title']})"
    many = len(entropies) > 1
    if not difference.clear:
        other = "the best entropy" if many else "entropy"
        return f"there is no clear difference between cosine and {other}: {numbers}; {_interval(difference)}."
    if difference.mean > 0:
        whom = "every entropy here" if many else "entropy"
        return f"cosine does better than {whom}: {numbers}; {_interval(difference)}."
    return (
        f"entropy does better than cosine: perplexity {best['perplexity']:.4g} ({best['title']}) against "
        + (f"{cosine['perplexity']:.4g}; {_interval(difference)}.")
    )


def _best(here: pd.DataFrame) -> str | None:
    if len(here) < 2:
        return None
    ranked = here.sort_values("nll", kind="stable")
    first = ranked.iloc[0]
    others = ranked[ranked["drop"] != first["drop"]]
    if others.empty:
        return None
    equal = [str(name) for name in ranked.loc[ranked["drop"] == first["drop"], "title"]]
    second = others.iloc[0]
    difference = _difference(first, second, len(here) - 1)
    numbers = (
        f"perplexity {first['perplexity']:.4g}; next is {second['title']} with {second['perplexity']:.4g}"
    )
    if difference.clear:
        return f"{listed(equal)} {'is' if len(equal) == 1 else 'are'} best: {numbers}."
    return f"no one is clearly best. {listed(equal)} came first: {numbers}, no clear difference."


def _no_better_than_random(here: pd.DataFrame) -> str | None:
    randoms = here[here["criterion"] == "random"]
    others = here[here["criterion"] != "random"]
    if randoms.empty or others.empty:
        return None
    random = randoms.iloc[0]
    losers = [str(row["title"]) for _, row in others.iterrows() if _difference(row, random, 1).high >= 0]
    if not losers:
        return None
    count = int(random["seeds"])
    what = "the random prune set" if count == 1 else f"the mean of {count} random prune sets"
    return f"not clearly better than {what} (perplexity {random['perplexity']:.4g}): {listed(losers)}."


def _difference(a: Any, b: Any, comparisons: int) -> Difference:
    return paired_difference(a["window_nll"], b["window_nll"], 1 - (1 - CONFIDENCE) / max(1, comparisons))


def _interval(difference: Difference) -> str:
    if difference.pairs < 2:
        return "one window cannot tell"
    return (
        f"{abs(difference.mean):.2f} nats a token apart, interval {_signed(difference)} "
        f"over {difference.pairs} windows"
    )


def _signed(difference: Difference) -> str:
    low, high = (
        (difference.low, difference.high) if difference.mean >= 0 else (-difference.high, -difference.low)
    )
    return f"{low:.2f} to {high:.2f}"


def _at(level: str, budget: str) -> str:
    noun = _NOUNS[level]
    if budget.isdigit():
        return f"At {budget} {noun if int(budget) > 1 else noun.removesuffix('s')} dropped"
    return f"At a budget of {budget} in {noun}"
