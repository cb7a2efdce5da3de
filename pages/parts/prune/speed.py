"""How fast the pruned model reads, timed in turn with the dense model, once the numbers are there."""

from typing import TYPE_CHECKING

import streamlit as st

from entviz.blocks import PruneSet
from entviz.figures import speed as said
from entviz.runtime import runtime
from pages.parts.prune import numbers, repair
from pages.parts.shared import job_view

if TYPE_CHECKING:
    from entviz.evaluation.loss import Evaluation
    from entviz.timing import Speed


def draw(shown: "job_view.Shown[Evaluation]", repaired: "repair.Repaired | None") -> "Speed | None":
    """A sentence, and the speed once it is known, with the repair if there is one.

    Nothing is timed for the dense model, or before its prune set and its repair are measured: that goes first.
    """
    found = shown.result
    if not shown.fresh or found is None or not found.drop or found.windows < found.windows_total:
        return None
    asked: numbers.EvaluationRequest = shown.about
    if repaired is None and repair.is_coming(asked):
        return None
    choice = None if repaired is None else repaired.about.repair.choice
    timed: job_view.Shown[Speed] = job_view.show(
        lambda: runtime().speed(
            asked.selection.sample(),
            PruneSet.parse(asked.drop),
            asked.dtype,
            job_view.session(),
            repair=choice,
        ),
        place=numbers.SPEED_PLACE,
        label="Timing it in turn with the dense model",
        about=asked if repaired is None else repaired.about,
    )
    if not timed.fresh or timed.result is None:
        return None
    with_it = "" if repaired is None else "With the repair it reads "
    st.caption(
        f"{with_it or 'Reads '}{said.in_words(timed.result)}. Timed in turn on this machine.", help=said.ABOUT
    )
    return timed.result
