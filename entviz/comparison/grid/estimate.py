"""Roughly how long a comparison will take, told before it is started.

estimated_seconds(entries, 3, 12, layers=30, calibration_tokens=512, measured_tokens=2560, seconds_per_token=2e-4)
"""

from __future__ import annotations

from collections.abc import Sequence

from entviz.comparison.grid.contenders import Contender

_SHARED = 0.6  # of a pass, for one of many prune sets that begin alike, the vocabulary projection included
_TIMINGS = 12  # passes of one window that timing a prune set takes
_TOKENS_AN_ITEM = 60  # of a multiple-choice item, choices together


def estimated_seconds(
    entries: Sequence[Contender],
    budgets: int,
    largest: int,
    *,
    layers: int,
    calibration_tokens: int,
    measured_tokens: int,
    window_length: int,
    seconds_per_token: float,
    items: int = 0,
) -> float:
    """Seconds that :func:`entviz.comparison.grid.grid.compare` will take, if nothing is kept from before.

    Args:
        entries: who takes part.
        budgets: how many budgets; ``largest`` is how many blocks the largest drops.
        calibration_tokens, measured_tokens: how many tokens the criteria choose by, and prune sets are measured on.
        seconds_per_token: of a pass through the whole model.
        items: of the multiple-choice task.
    """
    tokens = 0.0
    for entry in entries:
        blocks = layers * (2 if entry.level == "attn+mlp" else 1)
        tokens += entry.criterion.evaluations(blocks, largest) * _SHARED * calibration_tokens
        if entry.criterion.needs == "model":
            tokens += budgets * calibration_tokens
    cells = len(entries) * budgets
    tokens += cells * (_SHARED * measured_tokens + _TIMINGS * window_length + _TOKENS_AN_ITEM * items)
    timed = sum(entry.criterion.seconds_a_budget for entry in entries) * budgets
    return tokens * seconds_per_token + timed


def in_words(seconds: float) -> str:
    """An estimate as it is said: no more exact than it is."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 50:
        return f"about {round(seconds, -1):.0f} seconds"
    minutes = max(1, round(seconds / 60))
    return "about a minute" if minutes == 1 else f"about {minutes} minutes"
