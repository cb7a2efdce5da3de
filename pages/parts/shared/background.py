"""Work in the background that a page asks for by itself: no bar and no button, and it gives way to all other work.

::

    background.show("prune.damage", asked, MeasureDamages(sample, drop), ready=shown.fresh, said="Measuring")
    background.newest("prune.damage", asked)          # its result, or its partial result, or None

The study's kind must be a background one. What was asked for before at a place ends as soon as something else is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st

from entviz.runtime import runtime
from entviz.runtime.queue import Job
from entviz.studies import Study
from pages.parts.shared import job_view
from pages.parts.shared.markdown import escape

LOOK_SECONDS: Final = 1.0
REDRAWN_PER: Final = 0.2  # of the work: how much more must be done for the page to be drawn again


def show(
    place: str, about: Any, study: Study[Any] | None, *, ready: bool, said: Callable[[float], str]
) -> None:
    """Ask for a study, and say how far it is. The page is drawn again now and then, as results come in.

    Args:
        place: names a spot of the screen within this session.
        about: plain data that says what is asked for.
        study: None to end what was asked for.
        ready: whether it may be asked for now, if it was not before.
        said: what is said while it is computed, as Markdown, by the share that is done.
    """
    key = _key(place)
    before: tuple[Any, Job[Any]] | None = st.session_state.get(key)
    if before is not None and (study is None or before[0] != about):
        before[1].cancel(job_view.session())  # at once, so that it takes no time from what comes first
        del st.session_state[key]
        before = None
    if study is None or (before is None and not ready):
        return
    watch = _Watch(key, about, study, said)
    if before is None or before[1].state == "cancelled":  # as where the tab was hidden for long
        watch.ask()
    job: Job[Any] = st.session_state[key][1]
    if job.state == "failed":
        st.caption(f"This could not be measured: {escape(str(job.error))}")
    elif not job.finished:
        watch.drawn = _share(job)
        st.fragment(watch.draw, run_every=LOOK_SECONDS)()


def newest(place: str, about: Any) -> Any:
    """The result of what is asked for at a place, or as much of it as there is; None if that is something else."""
    asked: tuple[Any, Job[Any]] | None = st.session_state.get(_key(place))
    return asked[1].partial if asked is not None and asked[0] == about else None


def job_at(place: str) -> Job[Any] | None:
    """The job at a place, if there is one."""
    asked: tuple[Any, Job[Any]] | None = st.session_state.get(_key(place))
    return None if asked is None else asked[1]


def _key(place: str) -> str:
    return f"background.{place}"


@dataclass
class _Watch:
    """A fragment that looks at the job, and draws the page again if there is much that is new.

    ``drawn`` is the share that was done when the page was drawn.
    """

    key: str
    about: Any
    study: Study[Any]
    said: Callable[[float], str]
    drawn: float = 0.0

    def ask(self) -> Job[Any]:
        """The job; asking again says that someone waits."""
        job = runtime().ask(self.study, job_view.session())
        st.session_state[self.key] = (self.about, job)
        return job

    def draw(self) -> None:
        job = self.ask()
        share = _share(job)
        if job.finished or share >= self.drawn + REDRAWN_PER:
            st.rerun()
        st.caption(self.said(share))


def _share(job: Job[Any]) -> float:
    view = job.look()
    return view.done / view.total if view.total else 0.0
