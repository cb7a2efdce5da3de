"""A job on the screen: how far it is, a way to stop it, its error, and meanwhile what was there before.

::

    shown = show(
        lambda: runtime().ask(Analyze(selection.sample()), session()),
        place="explore", label="Measuring", about=selection,
    )
    if shown.result is not None:
        st.plotly_chart(depth.entropy_curve(shown.result, "knn"))

The page never waits: it draws what it has and ends, and a fragment looks at the job a few times a second until it is
done, then redraws the page once.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from entviz.errors import EntvizError
from entviz.progress import seconds_left
from entviz.runtime import runtime
from entviz.runtime.queue import Job
from entviz.words.phrases import duration
from pages.parts.shared import frame, parts
from pages.parts.shared.markdown import escape

Result = TypeVar("Result")
Made = TypeVar("Made")
POLL_SECONDS: Final = 0.4
NEWS_SECONDS: Final = 0.02
NEWS_WITHIN: Final = 0.3  # seconds that other fragments of the page can spare
TOGETHER_SECONDS: Final = 1.5  # that a result waits for another, to be drawn with it
MOST_SECONDS: Final = 2.0  # well below the worker's patience with those who do not look
LEAST_LEFT: Final = 5.0  # seconds; of less nobody need be told
CROWD: Final = 5  # unfinished jobs of all sessions; one person has as many at times


@dataclass(frozen=True)
class Shown(Generic[Result]):
    """What to draw at a place: the newest result there is, whether it is this job's, and what was asked for then.

    ``failed`` says that the job asked for now will bring no result.
    """

    result: Result | None
    fresh: bool
    about: Any
    failed: bool = False


def session() -> str:
    """This browser session's id, by which the runtime tells who still waits for a job."""
    frame.require()
    context = get_script_run_ctx()
    return context.session_id if context else "no-session"


def show(
    start: Callable[[], Job[Result]] | Job[Result],
    *,
    place: str,
    label: str,
    about: Any = None,
    draw_partial: Callable[[Any], None] | None = None,
    draw_waiting: Callable[[], None] | None = None,
    draw_done: Callable[[Any], None] | None = None,
    until: str = "",
    every: float = POLL_SECONDS,
    eager: bool = False,
) -> Shown[Result]:
    """Draw where a job is and return what can be shown now. Never waits, never raises for a job's failure.

    ``start`` asks for the job, and is not called once the person has stopped it, until it is started again (a job
    that is passed itself cannot be kept from starting again). ``place`` names a spot of the screen within this
    session: the last result shown there is kept and returned while a newer job runs, fails or is stopped. ``about``
    is plain data that says what is asked for, such as the selection; it is remembered with the result. ``label``
    says what is being done: "Measuring entropy". ``draw_partial`` draws the job's partial result, when it has one,
    and ``draw_waiting`` what is to be seen until then. The job is looked at ``every`` so many seconds, or less
    often where many wait; an ``eager`` place draws news at once, and there should be one of them on a page. Where the
    job at another place, ``until``, ends soon after this one, the page is drawn again once for both; ``draw_done``
    draws this one's result until then.
    """
    if is_stopped(place, about):
        _offer_again(place)
        return replace(last(place), failed=True)
    st.session_state.pop(f"stopped.{place}", None)
    try:
        job = start() if callable(start) else start
    except EntvizError as error:
        st.error(escape(str(error)), icon=":material/error:")
        return replace(last(place), failed=True)
    key = f"working.{place}"
    st.session_state[_job_key(place)] = job
    view = job.snapshot()
    if view.state == "done":
        st.session_state[key] = Shown(view.result, True, about)
    elif view.state == "failed":
        st.error(escape(str(view.error)), icon=":material/error:")
    elif view.state == "cancelled":
        _offer_again(place)
    else:
        # Where many wait, each looks less often: looking takes time from the work that all wait for.
        crowd = max(1.0, runtime().worker.unfinished / CROWD)
        every = min(every * crowd, MOST_SECONDS)
        watch = _Watch(job, place, label, about, draw_partial, draw_waiting, draw_done, until, eager)
        st.fragment(watch.draw, run_every=every)()
    kept: Shown[Result] = st.session_state.get(key, Shown(None, False, None))
    return kept if view.state == "done" else replace(kept, fresh=False, failed=view.finished)


def is_stopped(place: str, about: Any) -> bool:
    """Whether the person has stopped what is asked for at a place, so that it is not to be started by itself."""
    key = f"stopped.{place}"
    return key in st.session_state and bool(st.session_state[key] == about)


def last(place: str) -> Shown[Any]:
    """What was last shown at a place, for a run in which there is no job to ask for."""
    kept: Shown[Any] = st.session_state.get(f"working.{place}", Shown(None, False, None))
    return replace(kept, fresh=False)


def once(place: str, about: Any, make: Callable[[], Made]) -> Made:
    """What ``make`` makes, made again only where ``about`` is not what it was when this place was last drawn.

    While a person waits for new numbers the page is drawn again with the earlier ones, and drawing takes the time of
    the work that is waited for. ``about`` must hold all that the outcome depends on.
    """
    key = f"made.{place}"
    if key not in st.session_state or st.session_state[key][0] != about:
        st.session_state[key] = (about, make())
    made: Made = st.session_state[key][1]
    return made


@dataclass
class _Watch:
    """A fragment that looks at a job.

    ``drawn`` is the partial result that it has drawn last. From ``done_at`` on the result waits for another.
    """

    job: Job[Any]
    place: str
    label: str
    about: Any
    draw_partial: Callable[[Any], None] | None
    draw_waiting: Callable[[], None] | None
    draw_done: Callable[[Any], None] | None
    until: str
    eager: bool
    looked: bool = False
    drawn: object = None
    done_at: float | None = None

    def draw(self) -> None:
        self.job.touch(session())
        # In a run of the whole page, what stands below is drawn first.
        if self.eager and (self.looked or parts.alone()):
            self._wait_for_news()
        first, self.looked = not self.looked, True
        view = self.job.snapshot()
        if view.finished:
            if view.state == "done" and self.draw_done is not None and self._waits_for_another():
                self.draw_done(view.result)
                if first:  # drawn with what surrounds it, which is seen only when it is complete
                    return
                # In this run: what is drawn just before the next one begins may never reach the browser.
                while self._waits_for_another():
                    self._rest()
            st.rerun()
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            if view.state == "queued" and view.position:
                st.progress(0.0, f"{self.label}: {_turn(view.position)}")
            elif view.total > 0:
                done = min(view.done / view.total, 1.0)
                st.progress(done, f"{self.label}: {done:.0%}{_left(done, view.seconds)}")
            else:
                st.progress(0.0, f"{self.label}: getting the model ready")
            st.button(
                "Cancel",
                key=f"cancel.{self.place}",
                icon=":material/close:",
                on_click=_stop,
                args=(self.job, self.place, self.about),
            )
        self.drawn = view.partial
        if self.draw_partial is not None and view.partial is not None:
            self.draw_partial(view.partial)
        elif self.draw_waiting is not None:
            self.draw_waiting()

    def _wait_for_news(self) -> None:
        """Wait a little for a new partial result or the end, to be drawn when it comes and not at the next look.

        To look more often instead would keep the browser and this process busy with drawing the same again.
        """
        end = time.monotonic() + NEWS_WITHIN
        while time.monotonic() < end and not self.job.finished and self.job.partial is self.drawn:
            self._rest()

    def _rest(self) -> None:
        time.sleep(NEWS_SECONDS)
        # Here Streamlit ends this run at once where the person has clicked something meanwhile.
        st.session_state.get(f"stopped.{self.place}")

    def _waits_for_another(self) -> bool:
        """Whether the job at the other place, with whose result the page is to be drawn again, is soon done too."""
        other: Job[Any] | None = st.session_state.get(_job_key(self.until))
        if other is None or other.finished:
            return False
        if self.done_at is None:
            self.done_at = time.monotonic()
        return time.monotonic() - self.done_at < TOGETHER_SECONDS


def _job_key(place: str) -> str:
    return f"job.{place}"


def _stop(job: Job[Any], place: str, about: Any) -> None:
    st.session_state[f"stopped.{place}"] = about
    job.cancel(session())  # ends only this session's interest: another one may wait for the same result


def _left(share: float, seconds: float) -> str:
    """How long it will still take, where that is long enough to be of interest and can be told."""
    left = seconds_left(share, seconds)
    return "" if left is None or left < LEAST_LEFT else f", {duration(left)} left"


def _turn(position: int) -> str:
    return "next in line" if position == 1 else f"number {position} in line"


def _offer_again(place: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.info("Stopped before it was done.", icon=":material/stop_circle:")
        st.button(
            "Start again",
            key=f"again.{place}",
            icon=":material/refresh:",
            on_click=lambda: st.session_state.pop(f"stopped.{place}", None),
        )
