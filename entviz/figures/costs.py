"""The cost of a prune set as numbers for the screen: each with its unit, the dense model's number, and the change.

::

    for card in cards(evaluation):
        print(card.title, card.value, "dense:", card.dense)
    difference(in_bfloat16, in_float32)      # how far two number types are apart, as a sentence
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from entviz.evaluation.perplexity import MOST_NLL, in_words
from entviz.figures import speed
from entviz.words.phrases import decimals, number

# A note beside numbers with a ±; entviz.statistics explains its meaning and its computation.
_PLUS_MINUS: Final = (
    "± is the 95% interval for more text like this one, not for other texts. It allows for correlated tokens."
)

if TYPE_CHECKING:
    from entviz.evaluation.loss import Evaluation
    from entviz.statistics import Interval
    from entviz.timing import Speed


@dataclass(frozen=True)
class Card:
    """One number. ``worse`` says whether it is worse than dense; None if it is neither, or not clear on this text.
    ``change`` is empty if there is none.

    ``main`` says that it is one of those that the first glance needs.
    """

    title: str
    value: str
    dense: str
    change: str
    worse: bool | None
    about: str
    main: bool = False


def cards(evaluation: "Evaluation") -> list[Card]:
    """Perplexity, loss, divergence, agreement, parameters and weight memory, each with the dense model's."""
    increase = evaluation.nll_increase
    more = increase.mean
    saved = evaluation.parameters_dense - evaluation.parameters_pruned
    freed = evaluation.bytes_dense - evaluation.bytes_pruned
    disagree = 1 - evaluation.top1_agreement
    return [
        Card(
            "Perplexity",
            _perplexity(evaluation.perplexity),
            _perplexity(evaluation.dense_perplexity),
            _share(math.expm1(min(more, MOST_NLL))) if more else "0",
            more > 0 if increase.clear else None,
            "exp of the mean loss: among how many equally likely tokens the model in effect chooses. Lower is better."
            + _times(increase),
            main=True,
        ),
        Card(
            "Loss (nats a token)",
            f"{evaluation.nll:.3f}",
            f"{evaluation.dense_nll:.3f}",
            f"{number(more, sign=True)} ± {_error(increase.reach)}" if more else "0",
            more > 0 if increase.clear else None,
            f"Mean negative log-likelihood of a token given those before it. {_PLUS_MINUS}",
        ),
        Card(
            "KL from dense (nats)",
            number(evaluation.kl),
            "0",
            f"± {_error(evaluation.kl_interval.reach)}" if evaluation.kl else "",
            None,
            "Mean Kullback–Leibler divergence of the pruned model's prediction from the dense model's, KL(dense || "
            f"pruned). It is 0 if both predict the same. {_PLUS_MINUS}",
        ),
        Card(
            "Top-1 agreement",
            f"{evaluation.top1_agreement:.1%}",
            "100%",
            f"−{100 * disagree:.1f} points" if disagree else "0",
            True if disagree else None,
            "The share of positions where the likeliest next token is the dense model's.",
        ),
        Card(
            "Parameters",
            _count(evaluation.parameters_pruned),
            _count(evaluation.parameters_dense),
            f"−{_count(saved)} ({saved / evaluation.parameters_dense:.1%})" if saved else "0",
            None,
            "Weights that are left; those that two places share count once.",
            main=True,
        ),
        Card(
            "Weight memory",
            _bytes(evaluation.bytes_pruned),
            _bytes(evaluation.bytes_dense),
            f"−{_bytes(freed)}" if freed else "0",
            None,
            "What the weights take in the number type that was measured, 1 MB being a million bytes.",
        ),
    ]


def speed_card(found: "Speed | None") -> Card:
    """How fast the pruned model reads beside the dense one, as they were timed in turn; None before that is known."""
    if found is None:
        return Card("Reading speed", "–", "1 ×", "", None, speed.ABOUT, main=True)
    change = f"{found.low:.2f} to {found.high:.2f}"
    worse = found.times < 1 if found.differs else None
    return Card("Reading speed", f"{found.times:.2f} ×", "1 ×", change, worse, speed.ABOUT, main=True)


def table(evaluation: "Evaluation") -> pd.DataFrame:
    """The same numbers as a table for a file, with the ends of 95% intervals. Columns: measure, unit, dense, pruned."""
    one = evaluation
    return pd.DataFrame(
        [
            ("perplexity", "", one.dense_perplexity, one.perplexity),
            ("loss", "nats a token", one.dense_nll, one.nll),
            ("loss_increase", "nats a token", np.nan, one.nll_increase.mean),
            ("loss_increase_low", "nats a token", np.nan, one.nll_increase.low),
            ("loss_increase_high", "nats a token", np.nan, one.nll_increase.high),
            ("kl", "nats", 0.0, one.kl),
            ("kl_low", "nats", np.nan, one.kl_interval.low),
            ("kl_high", "nats", np.nan, one.kl_interval.high),
            ("top1_agreement", "share", 1.0, one.top1_agreement),
            ("parameters", "", one.parameters_dense, one.parameters_pruned),
            ("weight_memory", "bytes", one.bytes_dense, one.bytes_pruned),
        ],
        columns=["measure", "unit", "dense", "pruned"],
    )


def difference(rough: "Evaluation", exact: "Evaluation") -> str:
    """A sentence on the difference between two number types for the dense model on the same text."""
    loss = rough.dense_nll - exact.dense_nll
    return (
        f"{rough.dtype} instead of {exact.dtype} changes the dense model's perplexity here by "
        f"{number(rough.dense_perplexity - exact.dense_perplexity, sign=True)} "
        f"and its loss by {number(loss, sign=True)} nats a token."
    )


def _perplexity(value: float) -> str:
    return number(value) if value < 1e6 else in_words(value, ".3g")


def _times(increase: "Interval") -> str:
    if not math.isfinite(increase.reach) or increase.reach == 0:
        return ""
    times = [math.exp(min(value, MOST_NLL)) for value in (increase.mean, increase.low, increase.high)]
    mean, low, high = map(number, times)
    return f" Here it is {mean} times the dense model's (95% interval {low} to {high})."


def _share(value: float) -> str:
    if abs(value) < 10:
        return f"{decimals(100 * value, 1, sign=True)}%"
    return f"× {1 + value:,.0f}" if value < 1e6 else f"× {in_words(value, '.3g')}"


def _error(value: float) -> str:
    return number(value) if math.isfinite(value) else "?"


def _count(parameters: int) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if parameters >= size:
            return f"{parameters / size:.1f}{unit}"
    return str(parameters)


def _bytes(size: int) -> str:
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= one:
            return f"{size / one:.1f} {unit}"
    return f"{size} B"
