"""A job on the screen: how far it is, a way to stop it, its error, and meanwhile what was there before.

::

    shown = show(workbench().analyze(request, metrics, session()), place="explore", label="Measuring")
    if shown.result is not None:
        st.plotly_chart(depth.entropy_curve(shown.result, "knn"))

The page never waits: it draws what it has and ends, and a fragment looks at the job a few times a second until it is
done, then redraws the page once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from entviz.jobs import Job

Result = TypeVar("Result")
POLL_SECONDS: Final = 0.4
UNFINISHED: Final = ("queued", "running")


@dataclass(frozen=True)
class Shown(Generic[Result]):
    """What to draw at a place: the newest result there is, whether it is this job's, and what was asked for then."""

    result: Result | None
    fresh: bool
    about: Any


def session() -> str:
    """This browser session's id, by which the workbench tells who still waits for a job."""
    context = get_script_run_ctx()
    return context.session_id if context else "no-session"


def show(
    job: Job[Result],
    *,
    place: str,
    label: str,
    about: Any = None,
    draw_partial: Callable[[Any], None] | None = None,
) -> Shown[Result]:
    """Draw where the job is and return what can be shown now. Never waits, never raises for a job's failure.

    ``place`` names a spot of the screen within this session: the last result shown there is kept and returned while
    a newer job runs, fails or is cancelled. ``about`` is remembered with it (say, the selection). ``label`` says
    what is being done: "Measuring entropy". ``draw_partial`` draws the job's partial result, whenever it has one.
    """
    key = f"working.{place}"
    if job.state == "done":
        st.session_state[key] = Shown(job.result, True, about)
    elif job.state in UNFINISHED:
        _watch(job, place, label, draw_partial)
    elif job.state == "failed":
        st.error(str(job.error), icon=":material/error:")
    else:
        _offer_again(job, place)
    kept: Shown[Result] | None = st.session_state.get(key)
    if kept is None:
        return Shown(None, False, None)
    return kept if job.state == "done" else Shown(kept.result, False, kept.about)


def last(place: str) -> Shown[Any]:
    """What was last shown at a place, for a run in which there is no job to ask for."""
    kept: Shown[Any] | None = st.session_state.get(f"working.{place}")
    return Shown(None, False, None) if kept is None else Shown(kept.result, False, kept.about)


@st.fragment(run_every=POLL_SECONDS)
def _watch(job: Job[Any], place: str, label: str, draw_partial: Callable[[Any], None] | None) -> None:
    job.touch(session())
    if job.state not in UNFINISHED:
        st.rerun()
    bar, button = st.columns([5, 1], vertical_alignment="center", gap="small")
    with bar:
        if job.state == "queued" and job.position:
            st.progress(0.0, f"{label}: waiting for {job.position} other {_jobs(job.position)}")
        elif job.total > 0:
            done = min(job.done / job.total, 1.0)
            st.progress(done, f"{label}: {done:.0%}")
        else:
            st.progress(0.0, f"{label}: getting the model ready")
    with button:
        st.button("Cancel", key=f"cancel.{place}", icon=":material/close:", on_click=job.cancel, width="stretch")
    if draw_partial is not None and job.partial is not None:
        draw_partial(job.partial)


def _jobs(count: int) -> str:
    return "job" if count == 1 else "jobs"


def _offer_again(job: Job[Any], place: str) -> None:
    note, button = st.columns([5, 1], vertical_alignment="center", gap="small")
    note.info("Stopped. What is below was measured before.", icon=":material/stop_circle:")
    button.button("Start again", key=f"again.{place}", icon=":material/refresh:", width="stretch")
