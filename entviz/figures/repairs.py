"""What a repair changes, for the screen: cards with the numbers without it and with it, and sentences.

::

    for card in cards(plain, repaired):
        print(card.title, card.value)                    # Perplexity  119.8 → 51.2
    headline([("the news passage", repaired), ("the story passage", other)])
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import pandas as pd

from entviz.figures import costs
from entviz.words.phrases import counted, decimals, listed, number

if TYPE_CHECKING:
    from entviz.evaluation.loss import Evaluation
    from entviz.evaluation.repaired import RepairedEvaluation

ABOUT: Final = (
    "The share of the added loss that the repair takes away: (loss without it − loss with it) / (loss without it − "
    "dense loss), all on the same tokens. 100% would be the dense model's loss; below 0% the repair does harm. ± is "
    "the 95% interval for more text like this one."
)
_ARROW: Final = "The first number is without the repair, the second with it."


@dataclass(frozen=True)
class Headline:
    """What a repair recovers, in a sentence. ``harms`` says that it does harm on one of the texts."""

    text: str
    harms: bool


def cards(plain: "Evaluation", repaired: "Evaluation") -> list[costs.Card]:
    """The cards of :func:`entviz.figures.costs.cards`, each with its number without the repair and with it.

    The change is that of the repaired model from the dense one. A number that the repair leaves as it is stands once.
    """
    return [
        after if before.value == after.value else _both(before, after)
        for before, after in zip(costs.cards(plain), costs.cards(repaired), strict=True)
    ]


def headline(found: "Sequence[tuple[str, RepairedEvaluation]]") -> Headline:
    """What share of the added loss is recovered on each text; and where the repair does harm, that it does.

    Args:
        found: names of texts for a sentence, such as "the news passage", with what was measured on them.
    """
    by_kind: dict[str, list[tuple[str, RepairedEvaluation]]] = {}
    for title, one in found:
        by_kind.setdefault(_kind(one), []).append((title, one))
    said = []
    if recovered := by_kind.get("recovers"):
        said.append(f"recovers {_shares(recovered)}")
    if unclear := by_kind.get("unclear"):
        where = [f"{title} ({_share(one)} of the added loss)" for title, one in unclear]
        said.append(f"changes nothing clearly on {listed(where)}")
    if free := by_kind.get("free"):
        on = listed([title for title, _ in free])
        said.append(f"finds nothing to recover on {on}, where dropping adds no loss")
    for title, one in by_kind.get("harms", ()):
        change = one.nll_above(one.plain_token_nll)
        by = f"{number(change.mean)} ± {number(change.reach)} nats a token"
        said.append(f"does harm on {title}: the loss is {by} higher with it")
    return Headline(f"The repair {'; it '.join(said)}.", "harms" in by_kind)


def perplexities(found: "Sequence[tuple[str, RepairedEvaluation]]") -> str:
    """The perplexities on each text, without the repair and with it, and the dense model's; a sentence."""
    said = [
        f"{number(one.plain_perplexity)} → {number(one.perplexity)} on {title} (dense {number(one.dense_perplexity)}, "
        f"{counted(one.tokens, 'token')} scored)"
        for title, one in found
    ]
    return f"Perplexity {listed(said)}."


def table(plain: "Evaluation", repaired: "Evaluation") -> pd.DataFrame:
    """The numbers of :func:`entviz.figures.costs.table` for a file. Columns: measure, unit, dense, pruned, repaired."""
    return costs.table(plain).assign(repaired=costs.table(repaired)["pruned"])


def _kind(one: "RepairedEvaluation") -> str:
    """What the repair does on a text: recovers, harms, unclear, or free where the prune set costs nothing there."""
    change = one.nll_above(one.plain_token_nll)
    if change.clear and change.mean > 0:
        return "harms"
    if one.recovered is None:
        return "free"
    return "recovers" if change.clear else "unclear"


def _shares(found: "Sequence[tuple[str, RepairedEvaluation]]") -> str:
    """The share that is recovered on each text."""
    first, *others = [f"{_share(one)} {{}}on {title}" for title, one in found]
    return listed([first.format("of the added loss "), *(one.format("") for one in others)])


def _share(one: "RepairedEvaluation") -> str:
    share = one.recovered_interval
    return "" if share is None else f"{decimals(100 * share.mean, 0)}% ± {decimals(100 * share.reach, 0)}%"


def _both(before: costs.Card, after: costs.Card) -> costs.Card:
    """One card for both. Its space is for the two numbers: the interval of the change is said with what it is about."""
    number_before, _, unit = before.value.partition(" ")
    same_unit = unit and after.value.endswith(f" {unit}")
    change, _, reach = after.change.partition("±")
    interval = f" With the repair: {after.change}." if reach else ""
    return replace(
        after,
        value=f"{number_before if same_unit else before.value} → {after.value}",
        change=change.strip(),
        about=f"{after.about} {_ARROW}{interval}",
    )
