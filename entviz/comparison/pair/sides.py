"""Two evaluations of the same windows, side by side, as a table and as a sentence.

table(evaluation_a, evaluation_b)        # a row for each number: dense, A, B
sentence(evaluation_a, evaluation_b)     # which does better, if that is more than chance
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from entviz.blocks import PruneSet
from entviz.evaluation.perplexity import in_words
from entviz.words.phrases import decimals

if TYPE_CHECKING:
    from entviz.evaluation.loss import Evaluation


def table(a: Evaluation, b: Evaluation) -> pd.DataFrame:
    """A table of texts with the columns measure, dense, A and B. The rows are perplexity, loss, KL, agreement,
    parameters and weight memory.
    """

    def row(measure: str, dense: str, form: str, *values: float) -> tuple[str, ...]:
        return (measure, dense, *(format(value, form) for value in values))

    millions, megabytes = a.parameters_dense / 1e6, a.bytes_dense / 1e6
    rows = [
        (
            "Perplexity",
            *(in_words(value, ".2f") for value in (a.dense_perplexity, a.perplexity, b.perplexity)),
        ),
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
    """Which prune set has the lower loss, and whether the 95% interval of the difference excludes 0."""
    if a.drop == b.drop:
        return "A and B drop the same blocks."
    difference = a.nll_above(b.token_nll)
    better, size = ("B", difference.mean) if difference.mean > 0 else ("A", -difference.mean)
    lower = f"{decimals(size, 3)} nats a token lower"
    apart = f"{better}'s loss is {lower}"
    if not math.isfinite(difference.reach):
        return f"{apart}. So few tokens cannot tell a difference from chance: measure more windows."
    low, high = (difference.low, difference.high) if better == "B" else (-difference.high, -difference.low)
    interval = f"95% interval {decimals(low, 3)} to {decimals(high, 3)}"
    if not difference.clear:
        return f"There is no clear difference. {apart} ({interval})."
    return f"{better} does better. Its loss is {lower} ({interval})."


def shared(a: PruneSet, b: PruneSet) -> tuple[int, int, int]:
    """The numbers of attentions and MLPs dropped only by A, by both, and only by B; a layer counts as two."""
    only_a = len(a.attention - b.attention) + len(a.mlp - b.mlp)
    both = len(a.attention & b.attention) + len(a.mlp & b.mlp)
    only_b = len(b.attention - a.attention) + len(b.mlp - a.mlp)
    return only_a, both, only_b
