"""The main facts of a curve, as plain data and as sentences. Derived from an analysis's tables, like a figure.

::

    reading.sentence(analysis, "bucket", ("attn", "mlp"))
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import pandas as pd

from entviz.blocks import Block
from entviz.stages import Stages, stages
from entviz.words.metrics import metric_title
from entviz.words.phrases import listed, number

if TYPE_CHECKING:
    from entviz.analysis import Analysis

NAMED: Final = 3  # blocks that a sentence names
_LOWEST_AT: Final = {
    "embedding": "entropy is lowest at the embedding, so no layer compresses below it",
    "first layer": "entropy is lowest after the first layer already, so a compressing stage would be one layer long",
    "last layer": "entropy is lowest after the last layer, so nothing enriches after it",
}


def lowest_blocks(
    analysis: "Analysis", metric: str, kinds: Sequence[str], count: int = NAMED
) -> pd.DataFrame:
    """The blocks of these kinds with the lowest entropy increase (or importance), lowest first, without dropped blocks.

    If the curve has two stages, only blocks of stage 2 are considered, because blocks of stage 1 are meant to lower
    entropy.
    """
    rows = analysis.blocks
    rows = rows[(rows["metric"] == metric) & rows["kind"].isin(list(kinds))]
    rows = rows[[Block.parse(block) not in analysis.drop for block in rows["block"]]]
    if metric in analysis.entropies:
        found = stages(analysis, metric)
        if found.two:
            rows = rows[rows["index"] > found.turning_point]
    return rows.nsmallest(count, "value")


def headline(analysis: "Analysis", metrics: Sequence[str]) -> str:
    """One sentence about all chosen entropies: which of them show two stages, and their turning points."""
    entropies = [metric for metric in metrics if metric in analysis.entropies]
    if not entropies:
        return "Importance says how much a block turns its input's direction: 1 − cosine similarity."
    found = {metric: stages(analysis, metric) for metric in entropies}
    turning = [
        f"{metric_title(metric, 'entropy')} turns at layer {one.turning_point}"
        for metric, one in found.items()
        if one.two
    ]
    flat = [metric for metric, one in found.items() if not one.two]
    named = listed([metric_title(metric, "") for metric in flat])
    if not turning and len(flat) == 1:
        return f"{metric_title(flat[0], 'entropy')} shows no two stages here."
    if not turning:
        return f"{named} entropy show no two stages here."
    sentence = listed(turning)
    return (
        f"{sentence}; {named} {'shows' if len(flat) == 1 else 'show'} no two stages."
        if flat
        else f"{sentence}."
    )


def sentence(analysis: "Analysis", metric: str, kinds: Sequence[str]) -> str:
    """A summary of one metric's chart for this model, and of how much its windows agree. Plain text."""
    lowest = lowest_blocks(analysis, metric, kinds)
    entropy = metric in analysis.entropies
    named = listed([f"{row.block} ({number(row.value, sign=entropy)})" for row in lowest.itertuples()])
    if not entropy:
        return f"The blocks that change their input least are {named}."
    found = stages(analysis, metric)
    if found.two:
        where = f"after layer {found.turning_point}, the turning point"
        start = f"Entropy is lowest {where} ({_agreement(analysis, found)})."
        return f"{start} Of the blocks after it, {named} add least." if len(lowest) else start
    return f"No two stages: {_LOWEST_AT[found.lowest_at]}. Least is added by {named}."


def pruned_sentence(dense: "Analysis", pruned: "Analysis", metric: str, *, turns: bool = True) -> str:
    """The effect of dropping blocks on one entropy's curve. Plain text.

    ``turns`` says whether the lowest layers may be called turning points.
    """
    before, after = (_last(one, metric) for one in (dense, pruned))
    end = (
        f"At the end of the stream entropy is {number(after)} nats, and {number(before)} in the dense model "
        f"({number(after - before, sign=True)})."
    )
    was, now = stages(dense, metric), stages(pruned, metric)
    if not turns:
        return f"{end} It is lowest {_lowest(now)}, and {_lowest(was)} in the dense model."
    if was.two and now.two:
        moved = was.turning_point != now.turning_point
        where = (
            f"moves from layer {was.turning_point} to {now.turning_point}" if moved else "stays where it is"
        )
        return f"{end} The turning point {where}."
    if was.two:
        return f"{end} The turning point at layer {was.turning_point} is gone."
    return f"{end} A turning point appears at layer {now.turning_point}." if now.two else end


def repaired_sentence(dense: "Analysis", repaired: "Analysis", metric: str) -> str:
    """Where one entropy's curve ends with a repair. Plain text."""
    before, after = (_last(one, metric) for one in (dense, repaired))
    return f"With the repair it ends at {number(after)} nats ({number(after - before, sign=True)})."


def _lowest(found: Stages) -> str:
    return "at the embedding" if found.lowest_at == "embedding" else f"after layer {found.turning_point}"


def _last(analysis: "Analysis", metric: str) -> float:
    rows = analysis.sites[analysis.sites["metric"] == metric]
    return float(rows.loc[rows["depth"].idxmax(), "value"])


def _agreement(analysis: "Analysis", found: Stages) -> str:
    if analysis.windows == 1:
        return "one window only, so take it with care"
    if found.earliest == found.latest:
        return f"the same in all {analysis.windows} windows"
    return f"layer {found.earliest} to {found.latest} in single windows"
