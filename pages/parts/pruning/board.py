"""Where blocks are ticked: the grid of cells, the buttons, the table of checkboxes, and the prune set as text."""

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from entviz.blocks import Block, PruneSet
from entviz.errors import EntvizError
from entviz.export.recipe import MOST_BYTES, read_recipe
from entviz.figures import grid, theme
from entviz.figures.reading import number
from pages.parts import selection
from pages.parts.markdown import escape
from pages.parts.pruning import criteria, ticks

if TYPE_CHECKING:
    import pandas as pd

    from entviz.pruning.ranking import Ranking

_CLICKS: Final = (
    "prune.clicks"  # counts clicks, so that no chart is taken for one that had been clicked before
)
_TEXT: Final = "prune.text"
_WRITTEN: Final = (
    "prune.written"  # what a person wrote into the field that is no prune set, and for which one it was
)


def draw_grid(cells: "pd.DataFrame", choice: criteria.Choice) -> None:
    """The grid; a click on a cell ticks or unticks its block."""
    key = f"prune.grid.{st.session_state.get(_CLICKS, 0)}"
    with st.container(width=grid.WIDTH):
        st.plotly_chart(
            grid.board(cells, score_title=choice.score_title, ranked=choice.kinds),
            key=key,
            on_select=_take_click,
            selection_mode="points",
            config=theme.export_config("entviz-blocks") | {"displayModeBar": False},
            alt=f"Every block as a cell, coloured by {choice.score_title}. The table below says the same in words.",
        )
    st.caption(
        "Click a cell to drop its block, again to keep it. ✕ dropped, ● protected, ▢ without a score. "
        "Dark cells have the lowest scores, and go first."
    )


def _take_click() -> None:
    key = f"prune.grid.{st.session_state.get(_CLICKS, 0)}"
    points = st.session_state[key].selection.points
    # From now on the chart has another key: its selection goes, and the next click on the same cell is a new one.
    st.session_state[_CLICKS] = st.session_state.get(_CLICKS, 0) + 1
    ticks.toggle({Block.parse(point["customdata"][0]) for point in points if point.get("customdata")})


def draw_buttons(choice: criteria.Choice, ranking: "Ranking | None", layers: int) -> None:
    """Tick the lowest, undo, invert, clear; and why the last change could not be made."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        most = len(ranking.order) if ranking is not None else criteria.MOST
        count = st.number_input("Blocks to drop", **criteria.count_input(most), width=130)
        st.button(
            f"Tick the {count} lowest",
            key="prune.lowest",
            icon=":material/playlist_add_check:",
            type="primary",
            disabled=ranking is None,
            on_click=lambda: ticks.put(PruneSet(ranking.order[: int(count)])) if ranking else None,
            help="Makes the lowest ones by the criterion the prune set, in place of what is ticked now.",
        )
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Undo",
            key="prune.undo_button",
            icon=":material/undo:",
            on_click=ticks.undo,
            disabled=not ticks.can_undo(),
        )
        st.button(
            "Invert",
            key="prune.invert",
            icon=":material/flip:",
            on_click=ticks.invert,
            args=(choice.kinds, layers),
            help=f"Of {' and '.join(choice.kinds)}, drops what is kept and keeps what is dropped.",
        )
        st.button(
            "Clear",
            key="prune.clear",
            icon=":material/backspace:",
            on_click=ticks.put,
            args=("",),
            disabled=not selection.get("drop"),
        )


def draw_message(layers: int | None) -> None:
    """Why the last change could not be made, and which blocks the model does not have."""
    if message := ticks.message():
        st.error(escape(message), icon=":material/error:")
    if layers is not None and (foreign := ticks.foreign(layers)):
        names = ", ".join(map(str, foreign[:5])) + (" …" if len(foreign) > 5 else "")
        st.warning(
            f"This model has layers 0 to {layers - 1}, so it has no {escape(names)}. Nothing can be measured until "
            "the prune set is without them.",
            icon=":material/warning:",
        )
        st.button("Take them out", key="prune.foreign", on_click=ticks.forget_foreign, args=(layers,))


def draw_text() -> None:
    """The prune set as text that can be copied and pasted back, and a recipe to read it from."""
    now = ticks.text()
    # What a person wrote stays in the field, mistakes and all, until the prune set changes.
    written, at_that_time = st.session_state.get(_WRITTEN, ("", ""))
    shown = written if written and at_that_time == now else now
    if st.session_state.get(_TEXT) != shown:
        st.session_state[_TEXT] = shown
    st.text_input(
        "Prune set as text",
        key=_TEXT,
        placeholder="attn.5,layer.7",
        max_chars=ticks.CHARACTERS,
        on_change=_take_text,
        help="Copy it, or paste one here and press Enter. Kinds are layer, attn and mlp; layers count from 0.",
    )
    with st.expander("From a recipe", icon=":material/upload_file:"):
        st.file_uploader(
            "Recipe",
            type=["json"],
            max_upload_size=1,
            key="prune.recipe",
            on_change=_take_recipe,
            help="A small JSON file that the Export page or the command line has written.",
        )


def _take_text() -> None:
    written = st.session_state[_TEXT]
    ticks.put(written)
    st.session_state[_WRITTEN] = (written if ticks.message() else "", ticks.text())


def _take_recipe() -> None:
    file = st.session_state["prune.recipe"]
    if file is None:
        return
    if file.size > MOST_BYTES:
        ticks.complain("The file is too large for a recipe.")
        return
    try:
        ticks.put(read_recipe(file.getvalue()).drop)
    except EntvizError as error:
        ticks.complain(f"{error} The prune set stays as it was.")


def draw_table(cells: "pd.DataFrame") -> None:
    """Every block as a checkbox in a row of its layer: the grid for the keyboard and for screen readers."""
    table = st.expander("Tick in a table", icon=":material/keyboard:", key="prune.table", on_change="rerun")
    if not table.open:
        return  # nobody sees the checkboxes, and they take longer than everything else on the page
    with table:
        st.caption("Tab goes from block to block, Space ticks. Beside each is its score.")
        with st.container(height=360, border=False, gap="xxsmall"):
            for index, layer in cells.groupby("index", sort=True):
                with st.container(horizontal=True, gap="xsmall", key=f"prune.row.{index}"):
                    for cell in layer.itertuples():
                        _draw_checkbox(cell)


def _draw_checkbox(cell: Any) -> None:
    key = f"prune.tick.{cell.block}"
    if st.session_state.get(key) != cell.dropped:
        st.session_state[key] = cell.dropped
    score = "" if cell.score != cell.score else f" {number(cell.score, sign=cell.unit == 'nats')}"
    st.checkbox(
        f"{cell.block} :small[{score}]",
        key=key,
        on_change=ticks.toggle,
        args=([Block.parse(cell.block)],),
        width=112,
    )
