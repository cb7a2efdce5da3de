"""Perplexity, the exponential of a mean loss, also where that is more than a number can be.

perplexity(2.0)                          # 7.389...
in_words(perplexity(1234.5), ".4f")      # "over 1e304"
"""

from __future__ import annotations

import math

MOST_NLL = 700.0  # nats; the exponential of little more is beyond the largest number of 64 bits
MOST = math.exp(MOST_NLL)


def perplexity(nll: float) -> float:
    """exp of a mean loss in nats; of losses from 700 on, :data:`MOST`."""
    return math.exp(min(nll, MOST_NLL))


def in_words(value: float, form: str) -> str:
    """A perplexity as text in a number format such as ``.2f``; one of :data:`MOST` only says how large it is."""
    return f"over 1e{math.floor(math.log10(MOST))}" if value >= MOST else format(value, form)


def or_none(value: float) -> float | None:
    """A perplexity as plain data: None where it is :data:`MOST`, which is only a bound. The loss is beside it."""
    return None if value >= MOST else value
