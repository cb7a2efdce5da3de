"""The reports of criteria against damage, and of pairs of blocks.

of_trust(trust, About("smollm2-135m", text, "the news passage"))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from entviz.estimators import is_entropy
from entviz.report.command import About, command
from entviz.report.document import Section, document
from entviz.report.ending import ending, measured_on

if TYPE_CHECKING:
    from entviz.comparison.interactions.interactions import Interactions
    from entviz.comparison.trust.trust import Trust

_SCOPES = {"all": "every block", "inner": "without the first two layers and the last"}


def of_trust(trust: Trust, about: About, dtype: str = "float32") -> str:
    """Each criterion's scores against the measured damage. ``dtype`` is the number type of the pruned models."""
    from entviz.comparison.trust.verdict import between, signed, verdict
    from entviz.figures import trust as drawn

    sections = []
    for damage, of_damage in drawn.DAMAGE_TITLES.items():
        for scope, of_scope in _SCOPES.items():
            said = " ".join(verdict(trust, scope, damage))
            known = drawn.chosen(trust, scope, damage)["spearman"].notna().any()
            chart = drawn.correlation_chart(trust, scope, damage) if known else None
            sections.append(Section(f"{of_damage}, {of_scope}", said, chart))
    rows = drawn.chosen(trust, "all", "loss").dropna(subset=["spearman"])
    for row in rows.itertuples():
        said = (
            f"Rank correlation with the loss increase {signed(row.spearman)} {between(row.low, row.high)}. Each dot is "
            "a block; rank 1 is dropped first. On the dashed line score and damage agree; below it the damage is "
            "overrated."
        )
        chart = drawn.scatter(trust, row.criterion, "all", "loss")
        sections.append(Section(f"{drawn.title(row.criterion)}, block by block", said, chart))
    sections.append(
        Section(
            "Correlations",
            "low and high are 95% intervals, for more text like this one and other blocks like these.",
            table=trust.correlations,
        )
    )
    sections.append(
        Section(
            "Differences",
            "Of two criteria's rank correlations, on the same resamples.",
            table=trust.differences,
        )
    )
    sections.append(Section("Blocks", table=drawn.block_table(trust)))
    again = command(
        about,
        "trust",
        {
            "--level": trust.level,
            "--estimators": ",".join(name for name in trust.criteria if is_entropy(name)),
            "--windows": trust.windows,
            "--window-length": trust.window_length,
            "--dtype": dtype,
        },
    )
    subtitle = measured_on(about, trust.windows, trust.window_length, trust.notes)
    return document("Criteria against damage", subtitle, [*sections, *ending(about, again)])


def of_interactions(
    interactions: Interactions, about: About, blocks: Sequence[str] | None = None, dtype: str = "float32"
) -> str:
    """The cost of pairs beyond their sum. ``blocks`` are the blocks chosen by name, None for all of the level."""
    from entviz.figures import interactions as drawn
    from entviz.figures.trust import DAMAGE_TITLES
    from entviz.words.phrases import number

    sections = []
    for damage, title in DAMAGE_TITLES.items():
        limit = number(drawn.full_colour(interactions, damage))
        said = " ".join(drawn.headline(interactions, damage))
        shown = (
            f"Colours are strongest from {limit} nats a token on. On the diagonal, hover for the block alone."
        )
        chart = drawn.heat_map(interactions, damage)
        sections.append(Section(f"{title} beyond the sum of the two", f"{said}\n\n{shown}", chart))
    table = interactions.table().sort_values("loss_interaction", ascending=False)
    sections.append(Section("Pairs", "Nats a token; the worst to drop together first.", table=table))
    alone = pd.DataFrame(
        {
            "block": interactions.blocks,
            "loss": interactions.alone("loss"),
            "kl": interactions.alone("kl"),
        }
    )
    sections.append(Section("Blocks alone", "Nats a token.", table=alone))
    again = command(
        about,
        "interactions",
        {
            "--level": interactions.level,
            "--blocks": ",".join(blocks or ()),
            "--windows": interactions.windows,
            "--window-length": interactions.window_length,
            "--dtype": dtype,
        },
    )
    subtitle = measured_on(about, interactions.windows, interactions.window_length, interactions.notes)
    return document("Pairs of blocks", subtitle, [*sections, *ending(about, again)])
