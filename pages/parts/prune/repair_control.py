"""The choice of a repair beside the ticks, and of what it is fitted on."""

from typing import Final

import streamlit as st

from entviz.errors import TextError
from entviz.repair.registry import METHODS
from entviz.text.files import decode_text
from pages.parts.shared import bound_widgets, repairs, selection
from pages.parts.shared.markdown import escape
from pages.parts.shared.pickers import UPLOAD_MEGABYTES
from pages.parts.shared.selection import TYPED_CHARACTERS

_UPLOAD: Final = "prune.repair_upload"
_NOTE: Final = "prune.repair_note"  # why a file could not be read, or what of it was read otherwise


def draw(chosen: selection.Selection) -> None:
    """The method, and beside it what the methods do and what the chosen one is fitted on."""
    names = ["", *METHODS]
    st.selectbox(
        "Repair",
        names,
        format_func=lambda name: f"Repair: {METHODS[name].title}" if name else "No repair",
        width=270,
        label_visibility="collapsed",
        **bound_widgets.choice("repair", "prune.repair_method", starts=bound_widgets.index_in(names)),
    )
    with st.popover("About repair", icon=":material/healing:"):
        st.markdown(
            "Puts right in closed form, without training, what the dropped blocks leave behind. The model stays as it "
            "is.\n\n" + "\n".join(f"- **{one.title}**: {escape(one.purpose)}." for one in METHODS.values())
        )
        if (found := repairs.chosen(chosen)) is not None:
            _draw_calibration(found)


def _draw_calibration(found: repairs.ChosenRepair) -> None:
    st.toggle(
        "Fit on a text of your own",
        help="Instead of the built-in passages that nothing is measured on.",
        **bound_widgets.choice("repair_own", "prune.repair_own"),
    )
    if selection.get("repair_own"):
        _draw_own()
    st.toggle(
        "Fit on text that the model writes itself, too",
        help="Drawn token by token from the model's own predictions, so it favours no kind of text. It is written "
        "once for a model and kept.",
        **bound_widgets.choice("repair_self", "prune.repair_self"),
    )
    fitted = found.fitted_on
    st.caption(
        (f"Fitted on {escape(fitted)}. " if fitted else "There is no text to fit on. ")
        + f"Measured on {found.selection.text_title}, and on {found.other_title}, another kind of text that it is not "
        "fitted on."
    )


def _draw_own() -> None:
    text: str = selection.get("repair_text")
    if len(text) <= TYPED_CHARACTERS:
        st.text_area(
            "Calibration text",
            height=140,
            max_chars=TYPED_CHARACTERS,
            placeholder="Paste some pages of other text than that measured, then press Ctrl+Enter.",
            **bound_widgets.choice("repair_text", "prune.repair_text"),
        )
    else:
        st.caption(f"In use: a file of {len(text):,} characters.")
    st.file_uploader(
        "Or a text file",
        type=["txt", "md"],
        max_upload_size=UPLOAD_MEGABYTES,
        key=_UPLOAD,
        on_change=_take_upload,
        help=f"Plain text, up to {UPLOAD_MEGABYTES} MB. It stays on this machine.",
    )
    if note := st.session_state.get(_NOTE):
        st.caption(escape(note))


def _take_upload() -> None:
    file = st.session_state[_UPLOAD]
    if file is None:
        return
    notes: list[str] = []
    try:
        selection.put(repair_text=decode_text(file.getvalue(), name="The file", note=notes.append))
    except TextError as error:
        notes.append(str(error))
    st.session_state[_NOTE] = " ".join(notes)
