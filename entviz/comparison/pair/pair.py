"""Two prune sets side by side: which blocks they share, and what each block costs within its set.

found = contrast(loaded, windows, PruneSet.parse("attn.20,attn.25"), PruneSet.parse("attn.25,mlp.3"))
found.blocks[["block", "where", "cost_a", "cost_b"]]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from entviz.blocks import PruneSet
from entviz.decoder.states import StateCache
from entviz.evaluation.many import PruneSetCost, evaluate_many
from entviz.models.loaded import LoadedModel
from entviz.models.notes import notes_on
from entviz.progress import Progress, silent
from entviz.statistics import Interval, interval
from entviz.text.windows import Windows


@dataclass(frozen=True, eq=False)
class Contrast:
    """The result of :func:`contrast`.

    Attributes:
        a, b: the prune sets.
        nll_a, nll_b: their losses, nats a token.
        blocks: a row for each block that is in either set, by depth. Columns: block, kind, index, where (``a``, ``b``
            or ``both``), cost_a, cost_b (nats a token; NaN if the block is not in that set), reach_a and reach_b (half
            their 95% intervals; results of versions that did not measure these lack the columns).
        notes: sentences about how the text was read.
    """

    a: PruneSet
    b: PruneSet
    nll_a: float
    nll_b: float
    blocks: pd.DataFrame
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Angles:
    """Angular distances of :func:`entviz.criteria.angular.angular_distances`, as a result that can be stored."""

    distances: pd.DataFrame
    notes: tuple[str, ...] = ()


def contrast(
    loaded: LoadedModel,
    windows: Windows,
    a: PruneSet,
    b: PruneSet,
    *,
    dtype: str = "float32",
    cache: StateCache | None = None,
    progress: Progress = silent,
) -> Contrast:
    """Measure what each block costs within ``a`` and within ``b``.

    A block's cost within a set is the set's loss minus the loss with only that block put back: the loss that keeping
    the block would save. It is negative if the model is better without the block. The costs do not add up to the cost
    of the set, because blocks interact.

    Raises:
        BlockError: if a prune set names a block that the model lacks, or leaves no block in the model.
    """
    sets = [a, b, *(a - PruneSet([block]) for block in a), *(b - PruneSet([block]) for block in b)]
    found = evaluate_many(loaded, windows, sets, dtype=dtype, cache=cache, progress=progress)
    names_a, names_b = [str(block) for block in a], [str(block) for block in b]
    costs_a = _saved(found[0], names_a, found[2 : 2 + len(names_a)])
    costs_b = _saved(found[1], names_b, found[2 + len(names_a) :])
    unknown = Interval(np.nan, np.nan, np.nan)
    rows = []
    for block in sorted({*a, *b}):
        name = str(block)
        where = "both" if name in costs_a and name in costs_b else "a" if name in costs_a else "b"
        in_a, in_b = costs_a.get(name, unknown), costs_b.get(name, unknown)
        rows.append((name, block.kind, block.index, where, in_a.mean, in_b.mean, in_a.reach, in_b.reach))
    columns = ["block", "kind", "index", "where", "cost_a", "cost_b", "reach_a", "reach_b"]
    table = pd.DataFrame(rows, columns=columns)
    return Contrast(a, b, found[0].nll, found[1].nll, table, notes_on(loaded, windows))


def _saved(
    whole: PruneSetCost, names: Sequence[str], put_back: Sequence[PruneSetCost]
) -> dict[str, Interval]:
    """The loss that putting each block back saves, by the block's name."""
    return {
        name: interval(whole.nll_averages - cost.nll_averages)
        for name, cost in zip(names, put_back, strict=True)
    }
