"""The analysis of what the sidebar picked, as a job on the screen."""

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from entviz.workbench import workbench
from pages.parts import selection, working

if TYPE_CHECKING:
    from entviz.analysis import Analysis


def show(chosen: selection.Selection, place: str) -> "working.Shown[Analysis]":
    """As :func:`pages.parts.working.show`; where something is still to be chosen, a sentence says so instead.

    All metrics at once: they share the forward pass, so showing more or fewer later costs nothing.
    """
    if todo := selection.missing(chosen):
        st.info(todo, icon=":material/edit_note:")
        return replace(working.last(place), failed=True)
    return working.show(
        lambda: workbench().analyze(chosen.request(), selection.METRICS, working.session()),
        place=place,
        label="Measuring hidden states",
        about=chosen,
    )
