"""What changes the prune set beside the bench: buttons, the prune set as text, a recipe; and why a change failed."""

from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.blocks import PruneSet
from entviz.errors import EntvizError
from entviz.export.recipe import MOST_BYTES, read_recipe
from entviz.words.phrases import some
from pages.parts.prune import criteria, ticks
from pages.parts.shared import selection
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    from entviz.criteria.ranking import Ranking

_TEXT: Final = "prune.text"


def draw_buttons(choice: criteria.RankingChoices, ranking: "Ranking | None", layers: int) -> None:
    """Tick the lowest, undo, invert, clear; and why the last change could not be made."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        most = criteria.most_to_drop(choice, ranking, layers)
        count = st.number_input("Blocks to drop", **criteria.count_input(most), width=130)
        st.button(
            f"Tick the {count} lowest",
            key="prune.lowest",
            icon=":material/playlist_add_check:",
            type="primary",
            disabled=ranking is None,
            on_click=lambda: ticks.put(PruneSet(ranking.order[: int(count)])) if ranking else None,
            help="Replaces the prune set with the blocks that the criterion scores lowest.",
        )
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
            help=f"Among {' and '.join(choice.kinds)}: drops the kept blocks and keeps the dropped ones.",
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
        names = some([str(block) for block in foreign], 5)
        st.warning(
            f"This model has layers 0 to {layers - 1}, so it has no {escape(names)}. Nothing can be measured until "
            "the prune set is without them.",
            icon=":material/warning:",
        )
        st.button("Take them out", key="prune.foreign", on_click=ticks.forget_foreign, args=(layers,))


def draw_text() -> None:
    """The prune set as text to copy, and ways to give one: pasted text, or a recipe."""
    now = ticks.text()
    st.caption("The prune set as text:" if now else "The prune set is empty. As text it looks like this:")
    st.code(now or "attn.5,layer.7", language=None, wrap_lines=True)
    # In a form of its own, and not the text above made editable: while the page is redrawn a field still says what it
    # said before, which would be taken for an edit and undo the last click.
    with st.form("prune.paste", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            "Paste a prune set",
            key=_TEXT,
            placeholder="attn.5,layer.7",
            help="Kinds are layer, attn and mlp; layers count from 0.",
        )
        st.form_submit_button("Use it", key="prune.use", on_click=_take_text)
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
    ticks.put(st.session_state[_TEXT])


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
