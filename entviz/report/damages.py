"""The reports of what dropping each further block would cost, and of what each dropped one costs which token.

of_damages(damages, About("smollm2-135m", text, "the news passage"), ("attn", "mlp"))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from entviz.figures import damages as drawn
from entviz.figures import token_damages as by_token
from entviz.report.command import About, command
from entviz.report.document import Section, document
from entviz.report.ending import ending, measured_on
from entviz.words.phrases import listed, number

if TYPE_CHECKING:
    from entviz.comparison.damages.block_damages import BlockDamages
    from entviz.comparison.damages.token_damages import TokenDamages

MOST_TOKENS = 200


def of_damages(damages: BlockDamages, about: About, levels: Sequence[str], dtype: str) -> str:
    """Every block by what dropping it too would cost. ``dtype`` is the number type as it was asked for."""
    present = (
        f"Its loss is {number(damages.nll)} nats a token, its KL from dense {number(damages.kl)} nats, "
        f"in {damages.dtype}."
    )
    sections = [
        Section("Dropped", present, code=str(damages.drop) or "nothing: this is the dense model"),
        Section(
            "Loss increase if this block is dropped too", drawn.headline(damages), drawn.damage_bars(damages)
        ),
        Section("KL from dense then", figure=drawn.damage_bars(damages, "kl")),
        Section(
            "Blocks",
            "The cheapest to drop next first, nats a token. loss_reach and kl_reach are half of the 95% intervals, for "
            "more text like this one.",
            table=damages.blocks.sort_values("loss"),
        ),
    ]
    again = command(
        about,
        "damages",
        {
            "--drop": str(damages.drop),
            "--level": ",".join(levels),
            "--windows": damages.windows_total,
            "--window-length": damages.window_length,
            "--dtype": dtype,
        },
    )
    subtitle = measured_on(about, damages.windows, damages.window_length, damages.notes)
    return document("What each further block costs", subtitle, [*sections, *ending(about, again)])


def of_token_damages(
    damages: TokenDamages, about: About, dtype: str, pieces: Sequence[Sequence[str]] | None = None
) -> str:
    """What each dropped block costs, and which token it costs most. ``pieces`` are the texts of the tokens."""
    rows = by_token.table(damages, pieces)
    said = [by_token.worst_sentence(damages, block, pieces) for block in damages.measured] if pieces else []
    if damages.overflowing:
        said.append(f"With {listed(damages.overflowing)} put back alone, the model overflows.")
    sections = [
        Section("Dropped", code=str(damages.drop) or "nothing: this is the dense model"),
        Section(
            "What each block costs",
            "The loss of a token without the prune set, less that with the block put back alone; nats. Costs do not "
            "add up to the prune set's, as blocks interact.",
            table=damages.table().sort_values("cost", ascending=False),
        ),
        *([Section("Where each hurts most", "\n\n".join(said))] if said else []),
        Section(
            "Tokens",
            f"The {MOST_TOKENS} tokens with the highest loss, by what each block costs them; nats.",
            table=rows.nlargest(MOST_TOKENS, "nll"),
        ),
    ]
    again = command(
        about,
        "damages",
        {
            "--drop": str(damages.drop),
            "--by-token": True,
            "--windows": damages.windows,
            "--window-length": damages.window_length,
            "--dtype": dtype,
        },
    )
    subtitle = measured_on(about, damages.windows, damages.window_length, damages.notes)
    return document("Which block costs which token", subtitle, [*sections, *ending(about, again)])
