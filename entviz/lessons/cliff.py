"""A stage of a single block: a bucket curve that falls in one step, and the evidence that one outlying token causes it.

::

    found = cliff(analysis)
    found.block, found.fall, found.share, found.knn     # ("mlp.11", 573.3, 1.02, 37.3), or None
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from entviz.stages import stages
from entviz.words.phrases import number

if TYPE_CHECKING:
    from entviz.analysis import Analysis

STEEP: Final = 0.5  # share of the whole fall that one block must cause


@dataclass(frozen=True)
class Cliff:
    """The block in which bucket entropy falls by most of its whole fall down to the turning point.

    ``fall`` in nats, ``share`` of the difference between the embedding and the turning point (above 1 where the
    curve rises in between), ``knn`` the KNN entropy increase of the same block in nats.
    """

    block: str
    fall: float
    share: float
    knn: float


def cliff(analysis: "Analysis") -> Cliff | None:
    """The cliff; None if bucket entropy has no two stages, does not fall, or falls over several blocks.

    The analysis must hold bucket and knn at the levels attn and mlp.
    """
    found = stages(analysis, "bucket")
    if not found.two:
        return None
    sites = analysis.sites[analysis.sites["metric"] == "bucket"].set_index("site")["value"]
    whole = float(sites["embed"] - sites[f"layer.{found.turning_point}"])
    blocks = analysis.blocks[analysis.blocks["kind"] != "layer"]
    blocks = blocks[blocks["index"] <= found.turning_point]
    rows = blocks[blocks["metric"] == "bucket"].set_index("block")["value"]
    name = str(rows.idxmin())
    share = -float(rows[name]) / whole if whole > 0 else 0.0
    if share < STEEP:
        return None
    knn = blocks[(blocks["metric"] == "knn") & (blocks["block"] == name)]["value"].iloc[0]
    return Cliff(name, -float(rows[name]), share, float(knn))


def sentence(found: Cliff) -> str:
    """A text for the screen on what a cliff may mean.

    Source: Sun et al. 2024, "Massive Activations in Large Language Models" (arXiv 2402.17762).
    """
    fall = f"A single block, {found.block}, lowers bucket entropy by {number(found.fall)} nats"
    if found.knn <= 0:
        return (
            f"{fall}; KNN entropy falls there too, by {number(-found.knn)} nats: the tokens do draw together."
        )
    return (
        f"{fall}. Did all tokens draw together there? KNN entropy says no: it rises in the same block, by "
        f"{number(found.knn)} nats. Chapter 3 shows what else does this: one token whose values grow far beyond all "
        "others' stretches the buckets until the rest share a few. Such tokens are known in language models, as "
        "massive activations (Sun et al., 2024)."
    )
