"""The analysis of what the sidebar picked, as a job on the screen."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from entviz.estimators import default_metrics
from entviz.runtime import runtime
from entviz.studies import Analyze
from pages.parts.shared import job_view, selection

if TYPE_CHECKING:
    from entviz.analysis import Analysis


def show(
    chosen: selection.Selection, place: str, metrics: Sequence[str] | None = None
) -> "job_view.Shown[Analysis]":
    """As :func:`pages.parts.shared.job_view.show`; where something is still to be chosen, a sentence says so instead.

    ``metrics`` are specs, see :func:`pages.parts.shared.selection.measured`; by default those that are measured by
    default, with their usual options.
    """
    specs = default_metrics() if metrics is None else tuple(metrics)
    if todo := selection.missing(chosen):
        st.info(todo, icon=":material/edit_note:")
        return _about_text(replace(job_view.last(place), failed=True))
    return _about_text(
        job_view.show(
            lambda: runtime().ask(Analyze(chosen.sample(), specs), job_view.session()),
            place=place,
            label="Measuring hidden states",
            about=(chosen, specs),
        )
    )


def _about_text(shown: "job_view.Shown[Analysis]") -> "job_view.Shown[Analysis]":
    """The same, about the selection alone: what was measured of it stands in the analysis."""
    return shown if shown.about is None else replace(shown, about=shown.about[0])
