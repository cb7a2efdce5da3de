"""Perplexity, the exponential of a mean loss, also for losses whose exponential is too large for a number.

perplexity(2.0)                          # 7.389...
in_words(perplexity(1234.5), ".4f")      # "over 1e304"
"""

from __future__ import annotations

import math

MOST_NLL = 700.0  # nats; the exponential of a slightly larger loss overflows float64
MOST = math.exp(MOST_NLL)


def perplexity(nll: float) -> float:
    """exp of a mean loss in nats; :data:`MOST` for losses of 700 or more."""
    return math.exp(min(nll, MOST_NLL))


def in_words(value: float, form: str) -> str:
    """A perplexity as text in a number format such as ``.2f``; for :data:`MOST` a text that gives only the bound."""
    return f"over 1e{math.floor(math.log10(MOST))}" if value >= MOST else format(value, form)


def or_none(value: float) -> float | None:
    """A perplexity as plain data: None for :data:`MOST`, which is only a bound. The loss is stored beside it."""
    return None if value >= MOST else value
