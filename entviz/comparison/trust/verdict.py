"""Which criterion predicts damage best, in sentences that the numbers support.

    for sentence in verdict(found, scope="all", damage="loss"):
        print(sentence)

One criterion is called better than another only if the interval of their difference does not contain 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from entviz.comparison.trust.trust import FEWEST_BLOCKS, Trust
from entviz.criteria import Cosine
from entviz.estimators import is_entropy
from entviz.words.metrics import metric_title
from entviz.words.phrases import decimals, listed

_COSINE = Cosine().metric
_TITLES = {"angular": "angular distance", "depth": "depth alone"}  # key for criteria that are not metrics


def verdict(trust: Trust, scope: str = "all", damage: str = "loss") -> list[str]:
    """Short sentences: the best criterion, entropies compared with cosine, and criteria no better than chance."""
    table = trust.correlations
    table = table[(table["scope"] == scope) & (table["damage"] == damage)].set_index("criterion")
    count = int(table["blocks"].iloc[0])
    if count < FEWEST_BLOCKS:
        return [f"{count} blocks are too few to tell a rank correlation from chance."]
    valid = table.dropna(subset=["spearman"]).sort_values("spearman", ascending=False, kind="stable")
    if valid.empty:
        return ["No rank correlation exists here: all blocks have the same damage."]
    best = str(valid.index[0])
    numbers = _numbers(valid, best)
    if not valid.at[best, "low"] > 0:
        return [
            "No criterion predicts damage clearly better than chance. "
            f"{_capital(_title(best))} has the highest rank correlation: {numbers}."
        ]
    others = [str(name) for name in valid.index[1:]]
    equals = [name for name in others if not gap(trust, scope, damage, best, name)[1] > 0]
    said = [f"{_capital(_title(best))} predicts damage best: rank correlation {numbers}."]
    if equals:
        said = [f"{_capital(_title(best))} has the highest rank correlation with damage: {numbers}."]
        # If cosine is first, the sentences below compare the entropies with it, in numbers.
        told = [_title(name) for name in equals if best != _COSINE or not is_entropy(name)]
        if told:
            said.append(f"It is not clearly better than {listed(told)}.")
    said += _entropy_against_cosine(trust, scope, damage, [str(name) for name in valid.index])
    return said + _no_better_than_chance(valid)


def gap(trust: Trust, scope: str, damage: str, first: str, second: str) -> tuple[float, float, float]:
    """The difference of two criteria's rank correlations, and its interval: (difference, low, high)."""
    rows = trust.differences
    rows = rows[(rows["scope"] == scope) & (rows["damage"] == damage)]
    for row in rows.itertuples():
        if (row.first, row.second) == (first, second):
            return row.difference, row.low, row.high
        if (row.first, row.second) == (second, first):
            return -row.difference, -row.high, -row.low
    raise KeyError(f"{first}, {second}")


def _entropy_against_cosine(trust: Trust, scope: str, damage: str, names: Sequence[str]) -> list[str]:
    entropies = [name for name in names if is_entropy(name)]
    if _COSINE not in names or not entropies:
        return []
    gaps = {name: gap(trust, scope, damage, name, _COSINE) for name in entropies}
    worse = [name for name, (_, _, high) in gaps.items() if high < 0]
    better = [name for name, (_, low, _) in gaps.items() if low > 0]
    unclear = [name for name in entropies if name not in worse and name not in better]
    said = []
    for group, word in ((better, "better"), (worse, "worse")):
        if group:
            verb = "does" if len(group) == 1 else "do"
            named = listed([f"{_title(name)} (difference {_signed(gaps[name])})" for name in group])
            said.append(f"{_capital(named)} {verb} {word} than cosine.")
    if unclear:
        named = listed([f"{_title(name)} (difference {_signed(gaps[name])})" for name in unclear])
        verb = "is" if len(unclear) == 1 else "are"
        said.append(f"{_capital(named)} {verb} not clearly different from cosine.")
    return said


def _no_better_than_chance(valid: pd.DataFrame) -> list[str]:
    names = [_title(str(name)) for name, low in valid["low"].items() if not low > 0]
    verb = "is" if len(names) == 1 else "are"
    return [f"{_capital(listed(names))} {verb} not clearly better than chance."] if names else []


def _numbers(table: pd.DataFrame, name: str) -> str:
    row = table.loc[name]
    return f"{signed(row['spearman'])} {between(row['low'], row['high'])}"


def _signed(found: tuple[float, float, float]) -> str:
    return f"{signed(found[0])} {between(found[1], found[2])}"


def signed(value: float) -> str:
    """A correlation or a difference of two, with two decimals and a real minus sign."""
    return decimals(value, 2)


def between(low: float, high: float) -> str:
    """An interval as ``[0.45, 0.86]``."""
    return f"[{signed(low)}, {signed(high)}]"


def _title(criterion: str) -> str:
    if criterion in _TITLES:
        return _TITLES[criterion]
    return metric_title(
        criterion, "entropy increase" if is_entropy(criterion) else "importance", sentence=True
    )


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
