"""The analysis of what the sidebar picked, as a job on the screen."""

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from entviz.workbench import workbench
from pages.parts.shared import job_view, selection

if TYPE_CHECKING:
    from entviz.analysis import Analysis


def show(chosen: selection.Selection, place: str) -> "job_view.Shown[Analysis]":
    """As :func:`pages.parts.shared.job_view.show`; where something is still to be chosen, a sentence says so instead.

    All metrics at once: they share the forward pass, so showing more or fewer later costs nothing.
    """
    if todo := selection.missing(chosen):
        st.info(todo, icon=":material/edit_note:")
        return replace(job_view.last(place), failed=True)
    return job_view.show(
        lambda: workbench().analyze(chosen.request(), selection.METRICS, job_view.session()),
        place=place,
        label="Measuring hidden states",
        about=chosen,
    )
