"""What dropping does to the entropy curve: the pruned model's, measured as blocks are ticked, and what it says."""

from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.blocks import PruneSet
from entviz.figures import reading
from entviz.runtime import runtime
from entviz.studies import AnalyzePruned
from entviz.words.phrases import some
from pages.parts.prune import numbers, ticks
from pages.parts.shared import job_view, provenance, selection
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    from entviz.analysis import Analysis

PLACE: Final = "prune.curve"


def measure(chosen: selection.Selection, dense: "job_view.Shown[Analysis]", metric: str) -> "Analysis | None":
    """The analysis of the pruned model, as a job on the screen: the newest there is of this model and text.

    None where nothing is dropped, and where ``dense``, over which it is drawn, is of something else or failed.
    """
    drop = ticks.text()
    if not drop or not dense.fresh or dense.failed or dense.result is None:
        return None
    if metric not in dense.result.entropies:
        return None
    blocks = PruneSet.parse(drop)
    measured = dense.about[1]
    study = AnalyzePruned(chosen.sample(), (metric,), drop=blocks, along=measured)
    together = AnalyzePruned(chosen.sample(), measured, drop=blocks)
    if runtime().knows(together):  # a shell measures all metrics together
        study = together
    shown: job_view.Shown[Analysis] = job_view.show(
        lambda: runtime().ask(study, job_view.session()),
        place=PLACE,
        label="Measuring the pruned stream",
        about=(chosen, metric, drop),
    )
    if shown.result is None or shown.about[:2] != (chosen, metric):
        return None
    return shown.result


def sentence(dense: "Analysis", pruned: "Analysis | None", metric: str) -> str:
    """What the curve shows. Plain text; empty where the analysis does not hold the metric."""
    if metric not in dense.entropies:
        return ""
    if pruned is None:
        return reading.sentence(dense, metric, selection.KINDS)
    blocks = some([str(block) for block in pruned.drop], numbers.NAMED)
    return f"Without {blocks}: {reading.pruned_sentence(dense, pruned, metric)}"


def draw_said(said: str, dense: "job_view.Shown[Analysis]") -> None:
    """The sentence under the bench, and what the curves are measured on."""
    found = dense.result
    if found is None:
        return
    on = provenance.on(found.model, dense.about[0].text_title, found.windows, found.window_length)
    st.caption(f"{escape(said)} {provenance.sentence(on, dense.fresh)}".strip())
