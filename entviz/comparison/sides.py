"""Two evaluations of the same windows, side by side, as a table and as a sentence.

table(evaluation_a, evaluation_b)        # a row for each number: dense, A, B
sentence(evaluation_a, evaluation_b)     # which does better, if that is more than chance
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from entviz.blocks import PruneSet
from entviz.comparison.interval import paired_difference

if TYPE_CHECKING:
    from entviz.evaluation.loss import Evaluation


def table(a: Evaluation, b: Evaluation) -> pd.DataFrame:
    """Columns measure, dense, A, B, as texts: perplexity, loss, KL, agreement, parameters, weight memory."""

    def row(measure: str, dense: str, form: str, *values: float) -> tuple[str, ...]:
        return (measure, dense, *(format(value, form) for value in values))

    millions, megabytes = a.parameters_dense / 1e6, a.bytes_dense / 1e6
    rows = [
        row("Perplexity", f"{a.dense_perplexity:.2f}", ".2f", a.perplexity, b.perplexity),
        row("Loss (nats a token)", f"{a.dense_nll:.3f}", ".3f", a.nll, b.nll),
        row("KL from dense (nats)", "0", ".3f", a.kl, b.kl),
        row("Top-1 agreement", "100%", ".1%", a.top1_agreement, b.top1_agreement),
        row(
            "Parameters (millions)",
            f"{millions:.1f}",
            ".1f",
            a.parameters_pruned / 1e6,
            b.parameters_pruned / 1e6,
        ),
        row("Weight memory (MB)", f"{megabytes:.0f}", ".0f", a.bytes_pruned / 1e6, b.bytes_pruned / 1e6),
    ]
    return pd.DataFrame(rows, columns=["measure", "dense", "A", "B"])


def sentence(a: Evaluation, b: Evaluation) -> str:
    """Which prune set has the lower loss, and whether the 95% interval over windows, in pairs, leaves out 0."""
    if a.drop == b.drop:
        return "A and B drop the same blocks."
    difference = paired_difference(a.per_window_nll, b.per_window_nll)
    if difference.pairs < 2:
        return "One window cannot tell a difference from chance: measure more windows."
    better, size = ("B", difference.mean) if difference.mean > 0 else ("A", -difference.mean)
    low, high = sorted((abs(difference.low), abs(difference.high)))
    if not difference.clear:
        return (
            f"There is no clear difference: {better}'s loss is {size:.3f} nats a token lower, but over these "
            f"{difference.pairs} windows the 95% interval of B's minus A's goes from {-difference.high:+.3f} to "
            f"{-difference.low:+.3f}."
        )
    return (
        f"{better} does better: its loss is {size:.3f} nats a token lower (95% interval {low:.3f} to {high:.3f} over "
        f"{difference.pairs} windows)."
    )


def shared(a: PruneSet, b: PruneSet) -> tuple[int, int, int]:
    """How many attentions and MLPs are dropped by A only, by both, and by B only; a layer counts as two."""
    only_a = len(a.attention - b.attention) + len(a.mlp - b.mlp)
    both = len(a.attention & b.attention) + len(a.mlp & b.mlp)
    only_b = len(b.attention - a.attention) + len(b.mlp - a.mlp)
    return only_a, both, only_b
