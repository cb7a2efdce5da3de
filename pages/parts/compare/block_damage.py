"""What the tabs that leave blocks out have in common: what was asked for, a start with an estimate, what it was on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import streamlit as st

from entviz.runtime import runtime
from entviz.studies import StoredStudy
from entviz.words.levels import LEVEL_TITLES, level_nouns
from pages.parts.shared import job_view, provenance, selection

if TYPE_CHECKING:
    from entviz.comparison.interactions.interactions import Interactions
    from entviz.comparison.interactions.plan import Plan
    from entviz.comparison.trust.trust import Trust

Result = TypeVar("Result")
DAMAGES: Final = {"loss": "Loss increase", "kl": "KL from dense"}


@dataclass(frozen=True)
class DamageRequest:
    """What is asked for: plain data. ``estimators`` are specs; empty where none are judged."""

    selection: selection.Selection
    level: str
    estimators: tuple[str, ...] = ()


def draw_level(place: str) -> str:
    """The picker of the level, one of ``LEVEL_TITLES``."""
    return st.segmented_control(
        "Blocks",
        LEVEL_TITLES,
        default="attn",
        required=True,
        format_func=LEVEL_TITLES.__getitem__,
        key=f"{place}.level",
        persist_state="session",
    )


def draw_damage(place: str) -> str:
    """The picker of the measure of damage, one of ``DAMAGES``."""
    return st.segmented_control(
        "Damage",
        DAMAGES,
        default="loss",
        required=True,
        format_func=DAMAGES.__getitem__,
        key=f"{place}.damage",
        persist_state="session",
        help="Loss increase: how much worse the text's own tokens are predicted. KL from dense: how far all of the "
        "predictions move, which is measured more finely and cannot be negative.",
    )


def show(
    place: str,
    asked: DamageRequest,
    study: StoredStudy[Result],
    *,
    label: str,
    start: str,
    estimate: Callable[["Plan"], str],
    draw_partial: Callable[[Any], None] | None = None,
    every: float = job_view.POLL_SECONDS,
) -> job_view.Shown["Result"]:
    """What is asked for, as :func:`pages.parts.shared.job_view.show`, once the person has pressed the button ``start``.

    Until then the button is there, beside what ``estimate`` says of how long it will take here.
    """
    if todo := selection.missing(asked.selection):
        st.info(todo, icon=":material/edit_note:")
        return job_view.last(place)
    if _started(place, asked, study):
        return job_view.show(
            lambda: runtime().ask(study, job_view.session()),
            place=place,
            label=label,
            about=asked,
            draw_partial=draw_partial,
            every=every,
        )
    _draw_start(place, asked, start, estimate)
    return job_view.last(place)


def _started(place: str, asked: DamageRequest, study: StoredStudy[Any]) -> bool:
    """Whether the person has asked for this, or it was measured before and is there at once."""
    return st.session_state.get(f"{place}.started") == asked or runtime().knows(study)


def _draw_start(place: str, asked: DamageRequest, label: str, estimate: Callable[["Plan"], str]) -> None:
    """The button that starts the work, beside how long it will take here."""
    # The button stays in its place when the estimate below it is done: a click at that moment would else be lost.
    # The time does not depend on what is judged: blocks are left out all the same.
    timed = replace(asked, estimators=())
    row, below = st.container(horizontal=True, vertical_alignment="center"), st.container()
    with below:
        planned: job_view.Shown[Plan] = job_view.show(
            lambda: runtime().plan(asked.selection.sample(), asked.level, job_view.session()),
            place=f"{place}.plan",
            label="Estimating the time",
            about=timed,
        )
    # An estimate that was stopped does not stop the person; one that failed tells why the work would.
    if planned.failed and not job_view.is_stopped(f"{place}.plan", timed):
        return
    with row:
        st.button(
            label,
            key=f"{place}.start",
            type="primary",
            icon=":material/play_arrow:",
            on_click=lambda: st.session_state.update({f"{place}.started": asked}),
        )
        if planned.result is not None and planned.about == timed:
            st.caption(estimate(planned.result))


def measured_on(found: "Trust | Interactions", about: DamageRequest, fresh: bool) -> str:
    """What the numbers were measured on, as a sentence in Markdown."""
    on = provenance.on(found.model, about.selection.text_title, found.windows, found.window_length)
    return provenance.sentence(f"{level_nouns(found.level)} of {on}", fresh)
