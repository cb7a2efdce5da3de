"""The Criteria tab: what is compared, a button that starts it, and what was found."""

from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.runtime import runtime
from entviz.studies import Compare
from entviz.tasks import read_task
from pages.parts.compare import angles, choices, comparison_request, earlier, estimate, results
from pages.parts.compare.comparison_request import ComparisonRequest
from pages.parts.shared import job_view, selection

if TYPE_CHECKING:
    from entviz.comparison.grid.result import Comparison
    from entviz.runtime.queue import Job

PLACE: Final = "compare.criteria"


def draw() -> None:
    """The whole tab."""
    chosen = selection.current()
    asked = ComparisonRequest(chosen, choices.draw(chosen))
    todo = selection.missing(chosen) or choices.missing(asked.choices)
    started = comparison_request.is_started(asked)
    shown: job_view.Shown[Comparison] = job_view.last(PLACE)
    if todo:
        st.info(todo, icon=":material/edit_note:")
    elif started:
        shown = job_view.show(
            lambda: _compare(asked),
            place=PLACE,
            label="Comparing",
            about=asked,
            draw_partial=results.draw_partial,
        )
    else:
        _draw_start(asked)
    if shown.result is not None:
        about: ComparisonRequest = shown.about
        on = results.OTHER_PASSAGES if about.choices.others else results.LATER_WINDOWS
        results.draw(shown.result, about.selection, on, shown.fresh)
    elif not todo and not started:
        earlier.draw(chosen)
    if not todo and "layer" in asked.choices.levels:
        angles.draw(chosen)


def _draw_start(asked: ComparisonRequest) -> None:
    """The button, with how long it will take."""
    # The button stays in its place when the estimate beside it is done: a click at that moment would else be lost.
    button, note = st.columns([1, 4], vertical_alignment="center")
    button.button(
        "Compare",
        key="compare.start",
        type="primary",
        icon=":material/play_arrow:",
        on_click=comparison_request.start,
        args=(asked,),
        width="stretch",
    )
    with note:
        estimate.draw(asked, lambda: _study(asked))


def _study(asked: ComparisonRequest) -> Compare:
    wanted = asked.choices
    return Compare(
        asked.selection.sample(),
        wanted.criteria,
        wanted.budgets,
        wanted.levels,
        wanted.seeds,
        wanted.seconds,
        tuple(choices.other_passages(asked.selection)) if wanted.others else (),
        read_task(wanted.task) if wanted.task else None,
        wanted.limit if wanted.task else None,
    )


def _compare(asked: ComparisonRequest) -> "Job[Comparison]":
    return runtime().ask(_study(asked), job_view.session())
