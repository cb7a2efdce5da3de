"""The tab "Interactions": what dropping two blocks costs beyond the sum of the two."""

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from entviz.figures import interactions as drawn
from entviz.figures import theme
from entviz.studies import MeasurePairs
from entviz.words.phrases import duration, number
from pages.parts.compare import block_damage
from pages.parts.compare.block_damage import DamageRequest
from pages.parts.shared import downloads, provenance, selection
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    from entviz.comparison.interactions.interactions import Interactions

PLACE: Final = "compare.interactions"
PARTIAL_SECONDS: Final = 1.0  # between two looks at a job whose partial result is a whole figure


def draw() -> None:
    """The whole tab."""
    st.markdown(
        "Scores of single blocks can be added up only if damage adds up. Here every pair is really dropped. "
        "**Orange pairs cost more together than the sum of the two**: one stands in for the other, so dropping both "
        "is costly. Blue pairs cost less than their sum."
    )
    chosen = selection.current()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        level = block_damage.draw_level("interactions")
        damage = block_damage.draw_damage("interactions")
    shown = block_damage.show(
        PLACE,
        DamageRequest(chosen, level),
        MeasurePairs(chosen.sample(), level),
        label="Dropping pairs",
        start="Measure the pairs",
        estimate=lambda plan: (
            f"{plan.pairs:,} pairs, {duration(plan.seconds_pairs)} here. You can stop at any time."
        ),
        draw_partial=lambda partial: _draw_partial(partial, damage),
        every=PARTIAL_SECONDS,
    )
    if shown.result is not None:
        _draw_result(shown.result, shown.about, shown.fresh, damage)


def _draw_partial(partial: Any, damage: str) -> None:
    st.caption(f"{partial.pairs_done:,} of {partial.pairs:,} pairs so far.")
    st.plotly_chart(
        drawn.heat_map(partial, damage),
        key="interactions.partial",
        config=theme.export_config("entviz-pairs"),
    )


def _draw_result(found: "Interactions", about: DamageRequest, fresh: bool, damage: str) -> None:
    said = drawn.headline(found, damage)
    st.markdown(f"**{escape(said[0])}** {' '.join(map(escape, said[1:]))}")
    st.caption(block_damage.measured_on(found, about, fresh))
    provenance.draw_notes(found.notes)
    st.plotly_chart(
        drawn.heat_map(found, damage),
        key="interactions.map",
        config=theme.export_config(f"entviz-interactions-{found.level}"),
        alt=said[0],
    )
    limit = number(drawn.full_colour(found, damage))
    st.caption(
        f"Damage of a pair beyond the sum of its two, {block_damage.DAMAGES[damage].lower()}, nats a token. Colours "
        f"are strongest from {limit} on: a few pairs lie beyond, and their numbers show on hover. On the diagonal, "
        "hover for the block alone."
    )
    table = found.table()
    downloads.draw_csv(
        "Pairs as CSV", table, f"entviz-interactions-{found.level}.csv", key="interactions.csv"
    )
    with st.expander("The numbers", icon=":material/table:"):
        st.dataframe(table.sort_values(f"{damage}_interaction", ascending=False), hide_index=True, height=320)
