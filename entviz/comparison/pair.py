"""Two prune sets side by side: which blocks they share, and what each block costs within its set.

found = contrast(loaded, windows, PruneSet.parse("attn.20,attn.25"), PruneSet.parse("attn.25,mlp.3"))
found.blocks[["block", "where", "cost_a", "cost_b"]]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from entviz.blocks import PruneSet
from entviz.corpus import Windows
from entviz.evaluation.many import evaluate_many
from entviz.models.loaded import LoadedModel
from entviz.progress import Progress, silent
from entviz.pruning.states import StateCache
from entviz.text.notes import notes_on


@dataclass(frozen=True, eq=False)
class Contrast:
    """What :func:`contrast` found.

    Attributes:
        a, b: the prune sets.
        nll_a, nll_b: their losses, nats a token.
        blocks: a row for each block that is in either, by depth. Columns: block, kind, index, where (``a``, ``b`` or
            ``both``), cost_a, cost_b (nats a token; not a number where the block is not in that set).
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

    A block's cost within a set is the set's loss minus the loss with that block alone put back: what keeping the block
    would save. It can be below 0, where the model is better off without it. Costs do not add up to the set's, as
    blocks interact.

    Raises:
        BlockError: where a prune set names a block that the model lacks, or leaves nothing of it.
    """
    sets = [a, b, *(a - PruneSet([block]) for block in a), *(b - PruneSet([block]) for block in b)]
    found = evaluate_many(loaded, windows, sets, dtype=dtype, cache=cache, progress=progress)
    nll = [cost.nll for cost in found]
    names_a, names_b = [str(block) for block in a], [str(block) for block in b]
    costs_a = dict(zip(names_a, (nll[0] - other for other in nll[2 : 2 + len(names_a)]), strict=True))
    costs_b = dict(zip(names_b, (nll[1] - other for other in nll[2 + len(names_a) :]), strict=True))
    rows = []
    for block in sorted({*a, *b}):
        name = str(block)
        where = "both" if name in costs_a and name in costs_b else "a" if name in costs_a else "b"
        rows.append(
            (name, block.kind, block.index, where, costs_a.get(name, np.nan), costs_b.get(name, np.nan))
        )
    columns = ["block", "kind", "index", "where", "cost_a", "cost_b"]
    table = pd.DataFrame(rows, columns=columns)
    return Contrast(a, b, nll[0], nll[1], table, notes_on(loaded, windows))
