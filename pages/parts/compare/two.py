"""The tab with two prune sets: what they share, what each costs and where, and what each writes."""

from typing import Final

import streamlit as st

from entviz.blocks import PruneSet
from entviz.comparison.pair import sides
from entviz.errors import EntvizError
from entviz.export.recipe import read_recipe
from entviz.figures import comparison as drawn
from entviz.figures import theme
from pages.parts.compare import two_continuations, two_costs
from pages.parts.shared import analysis_view, selection
from pages.parts.shared.markdown import escape

CHARACTERS: Final = 20_000  # of a prune set or a recipe as text


def draw() -> None:
    """The whole tab."""
    chosen = selection.current()
    todo = selection.missing(chosen)
    if todo:
        st.info(todo, icon=":material/edit_note:")
        return
    left, right = st.columns(2, gap="medium")
    with left:
        a = _draw_set("a", str(selection.get("drop")))
    with right:
        b = _draw_set("b", "")
    if a is None or b is None:
        return
    if not a and not b:
        st.info(
            "Write two prune sets, or take them from the table of the Criteria tab. An empty one is the dense model.",
            icon=":material/edit_note:",
        )
        return
    analysis = analysis_view.show(chosen, "compare.two.analysis").result
    if analysis is None:
        return
    try:
        for drop in (a, b):
            drop.check(analysis.layers)
    except EntvizError as error:
        st.error(escape(str(error)), icon=":material/error:")
        return
    _draw_overlap(a, b, analysis.layers)
    two_costs.draw(chosen, a, b)
    two_costs.draw_blocks(chosen, a, b)
    two_continuations.draw(chosen, a, b)


def _draw_set(side: str, otherwise: str) -> PruneSet | None:
    """The field for one prune set, and what is written there; None where it is no prune set."""
    key = f"compare.set.{side}"
    written = st.text_input(
        f"Prune set {side.upper()}",
        otherwise,
        key=key,
        max_chars=CHARACTERS,
        placeholder="attn.5,layer.7",
        persist_state="session",
        help="Blocks with commas, or a recipe's text. Empty: the dense model.",
    )
    current = str(selection.get("drop"))
    st.button(
        "Take the current prune set",
        key=f"compare.current.{side}",
        icon=":material/content_cut:",
        disabled=written == current,
        on_click=lambda: st.session_state.update({key: current}),
        help="The one of the Prune page.",
    )
    try:
        return _read(written)
    except EntvizError as error:
        st.error(escape(str(error)), icon=":material/error:")
        return None


def _read(written: str) -> PruneSet:
    if written.lstrip().startswith("{"):
        return read_recipe(written.encode()).drop
    return PruneSet.parse(written)


def _draw_overlap(a: PruneSet, b: PruneSet, layers: int) -> None:
    only_a, both, only_b = sides.shared(a, b)
    st.subheader("Overlap", anchor=False, help="A layer counts as its attention and its MLP.")
    st.markdown(f"**{both}** dropped by both, **{only_a}** by A only, **{only_b}** by B only.")
    st.plotly_chart(
        drawn.overlap_board(a, b, layers),
        key="compare.overlap",
        config=theme.export_config("entviz-overlap"),
        alt=f"Blocks that A and B drop: {both} by both, {only_a} by A only, {only_b} by B only",
    )
