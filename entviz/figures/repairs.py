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
    kinds = [(_kind(one), title, one) for title, one in found]
    said = []
    if shares := [(kind, title, one) for kind, title, one in kinds if kind in ("recovers", "unclear")]:
        clauses = [
            f"{_share(one)}{'' if place else ' of the added loss'} on {title}"
            + (" (not clear)" if kind == "unclear" else "")
            for place, (kind, title, one) in enumerate(shares)
        ]
        said.append(f"recovers {listed(clauses)}")
    if free := [title for kind, title, _ in kinds if kind == "free"]:
        said.append(f"has nothing to recover on {listed(free)}")
    if harmed := [(title, one) for kind, title, one in kinds if kind == "harms"]:
        said.append(f"does harm on {listed([f'{title} ({_harm(one)})' for title, one in harmed])}")
    return Headline(f"The repair {', but '.join(said)}.", bool(harmed))


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


def _share(one: "RepairedEvaluation") -> str:
    share = one.recovered_interval
    return "" if share is None else f"{decimals(100 * share.mean, 0)}% ± {decimals(100 * share.reach, 0)}%"


def _harm(one: "RepairedEvaluation") -> str:
    """How much is lost on top of what dropping costs."""
    change = one.nll_above(one.plain_token_nll)
    return f"{number(change.mean, sign=True)} ± {number(change.reach)} nats a token"


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
