"""What dropping each further block would cost: bars by depth, and the cheapest in a sentence.

::

    damage_bars(damages, "loss")           # of an entviz.comparison.damages.block_damages.BlockDamages
    headline(damages)
    agreement_sentence(agreement(ranking, damages), "Cosine", "attentions")
"""

from typing import TYPE_CHECKING, Final

import numpy as np
import plotly.graph_objects as go

from entviz.blocks import KINDS
from entviz.figures import depth
from entviz.words.phrases import counted, decimals, listed, number, some

if TYPE_CHECKING:
    from entviz.comparison.damages.agreement import Agreement
    from entviz.comparison.damages.block_damages import BlockDamages

NAMED: Final = 3  # blocks that a sentence names
# What a rank correlation from so much on is called.
_VERBS: Final = (
    (0.7, "agrees with"),
    (0.4, "agrees in part with"),
    (-0.4, "says little of"),
    (-1.0, "contradicts"),
)
TITLES: Final = {"loss": "Loss increase (nats a token)", "kl": "KL from dense (nats a token)"}


def damage_bars(damages: "BlockDamages", damage: str = "loss") -> go.Figure:
    """The damage of every block that is measured, ``loss`` or ``kl``: one row of bars a kind, all on one scale."""
    rows = damages.blocks[np.isfinite(damages.blocks[damage])]
    rows = rows.assign(value=rows[damage], per_window=[()] * len(rows))
    rows["said"] = [
        f"± {number(reach)} (95%)" if np.isfinite(reach) else "" for reach in rows[f"{damage}_reach"]
    ]
    kinds = [kind for kind in KINDS if kind in set(damages.blocks["kind"])]
    layers = 1 + int(damages.blocks["index"].max()) if len(damages.blocks) else 1
    return depth.bars(rows, kinds, layers, y_title=TITLES[damage], unit="nats a token", sign=damage == "loss")


def headline(damages: "BlockDamages") -> str:
    """What costs least to drop next, how sure that is, and what cannot be dropped. Plain text."""
    rows = damages.blocks[np.isfinite(damages.blocks["loss"])].nsmallest(NAMED, "loss")
    where = (
        f"Without {some([str(block) for block in damages.drop], 8)}" if damages.drop else "In the dense model"
    )
    if rows.empty:
        return f"{where}, no block is measured yet."
    named = listed([f"{row.block} ({_with_reach(row.loss, row.loss_reach)})" for row in rows.itertuples()])
    rest = len(damages.blocks) - damages.measured
    said = f"{where}, the cheapest to drop next by measured loss: {named}, in nats a token."
    if rest:
        said += f" {counted(rest, 'block')} still to measure."
    if gone := damages.overflowing:
        said += f" The model overflows without {some(gone, 8)}."
    return said


def _with_reach(value: float, reach: float) -> str:
    return number(value, sign=True) + (f" ± {number(reach)}" if np.isfinite(reach) else "")


def agreement_sentence(found: "Agreement", criterion: str, nouns: str) -> str:
    """Whether a criterion, by its title, orders the kept blocks as their damage does; ``nouns`` are what they are."""
    if np.isnan(found.spearman):
        return f"Too few {nouns} are measured to tell whether {criterion} and the damage agree here."
    verb = next(verb for least, verb in _VERBS if found.spearman >= least)
    return (
        f"Here {criterion} {verb} the measured damage: rank correlation {decimals(found.spearman, 2)} over "
        f"{found.blocks} kept {nouns}, and {found.shared} of the {len(found.by_criterion)} cheapest are the same."
    )
