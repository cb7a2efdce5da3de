"""What the prune set costs, live: the numbers with dense beside each, while they are being measured and after."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.blocks import PruneSet
from entviz.figures import costs, repairs
from entviz.runtime import runtime
from entviz.runtime.queue import Job
from entviz.studies import Evaluate
from entviz.words.phrases import of_windows, some
from pages.parts.prune import repair, ticks
from pages.parts.shared import cards, job_view, provenance, selection
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    from entviz.evaluation.loss import Evaluation
    from entviz.timing import Speed

PLACE: Final = "prune.evaluation"
SPEED_PLACE: Final = "prune.speed"
CURVE_PLACE: Final = "prune.curve"
OTHER_PLACE: Final = "prune.exact"
POLL_SECONDS: Final = 0.2  # a tick shall be answered within half a second
CARDS_HEIGHT: Final = 130  # pixels, with their title
NAMED: Final = 8  # blocks of a prune set that a sentence names


@dataclass(frozen=True)
class EvaluationRequest:
    """What an evaluation was asked for."""

    selection: selection.Selection
    drop: str
    dtype: str


def ask(chosen: selection.Selection) -> None:
    """Have the numbers of the prune set in view computed, while the page draws other things before them."""
    asked = request(chosen)
    repair.withdraw(asked)
    if not job_view.is_stopped(PLACE, asked):
        _evaluate(asked)  # what is wrong with it, if anything, is said where the numbers are drawn


def draw(
    chosen: selection.Selection,
    todo: str | None,
    time: "Callable[[job_view.Shown[Evaluation], repair.Repaired | None], Speed | None]",
) -> "tuple[job_view.Shown[Evaluation], repair.Repaired | None]":
    """The numbers of the prune set in view, and those with a repair once they are there.

    ``time`` is asked for the speed of what is drawn, and draws elsewhere.
    """
    with st.container(key="prune.numbers"):
        # For a moment the browser has both: what the job's fragment drew, and what is drawn of its result, or was of
        # the one before. page.css then shows one of them, that of now, so that nothing under it jumps.
        status, cards = st.container(key="prune.coming"), st.container(key="prune.there")
        beneath = st.container(key="prune.repaired") if selection.get("repair") else None
    asked = request(chosen)
    before = job_view.last(PLACE)
    if todo:
        shown = before
        with status:
            st.info(todo, icon=":material/edit_note:")
    else:
        with status:
            shown = job_view.show(
                lambda: _evaluate(asked),
                place=PLACE,
                label="Evaluating",
                about=asked,
                draw_partial=lambda partial: _draw_cards(partial, asked, "measured so far"),
                draw_waiting=lambda: _draw_earlier(before),
                draw_done=lambda result: _draw_measured(result, asked),
                until=CURVE_PLACE,
                every=POLL_SECONDS,
                eager=True,
            )
    repaired = None
    if beneath is not None:
        with beneath:
            repaired = repair.measure(shown)
    speed = time(shown, repaired)
    with cards:
        if shown.fresh and shown.result is not None:
            _draw_measured(shown.result, asked, speed, repaired)
        elif todo or shown.failed:
            _draw_earlier(shown)
    return shown, repaired if shown.fresh else None


def request(chosen: selection.Selection) -> EvaluationRequest:
    """What is asked for now."""
    return EvaluationRequest(
        chosen, ticks.text(), "float32" if st.session_state.get("prune.float32") else "auto"
    )


def _evaluate(asked: EvaluationRequest, supersede: bool = True) -> "Job[Evaluation]":
    study = Evaluate(asked.selection.sample(), PruneSet.parse(asked.drop), asked.dtype)
    return runtime().ask(study, job_view.session(), slot=study.slot if supersede else None)


def _draw_measured(
    evaluation: "Evaluation",
    asked: EvaluationRequest,
    speed: "Speed | None" = None,
    repaired: "repair.Repaired | None" = None,
) -> None:
    if repaired is None:  # which says it itself
        _draw_status(f"Measured on {measured_on(evaluation, asked)}.")
    _draw_cards(evaluation, asked, speed=speed, repaired=repaired)


def _draw_status(sentence: str) -> None:
    with st.container(
        key="prune.measured_on"
    ):  # where the progress was: the numbers must not jump when it goes
        st.caption(sentence)


def _draw_earlier(shown: "job_view.Shown[Evaluation]") -> None:
    if shown.result is None:
        st.skeleton(height=CARDS_HEIGHT)
    else:
        timed: job_view.Shown[Speed] = job_view.last(SPEED_PLACE)
        repaired = repair.earlier(shown)
        speed = timed.result if timed.about == (repaired.about if repaired else shown.about) else None
        _draw_cards(shown.result, shown.about, "the earlier result", speed, repaired)


def _draw_cards(
    evaluation: "Evaluation",
    asked: EvaluationRequest,
    note: str = "",
    speed: "Speed | None" = None,
    repaired: "repair.Repaired | None" = None,
) -> None:
    """One card a number. The title names the prune set that was measured, which need not be the one ticked now."""
    title = named(asked.drop)
    numbers = costs.cards(evaluation) if repaired is None else repairs.cards(evaluation, repaired.view)
    with st.container(key="prune.shown"):
        if repaired is None or note:
            with st.container(key="prune.title"):
                st.markdown(
                    f"**{title}**" + (f" :small[({note}: {measured_on(evaluation, asked)})]" if note else "")
                )
        else:
            with st.container(key="prune.headline"):
                repair.draw_headline(repaired)
        # page.css makes a row of it in which those of the first glance are large; on a phone they stand first.
        with st.container(key="prune.cards"):
            found = [*numbers, costs.speed_card(speed)]
            for card in sorted(found, key=lambda one: not one.main):
                with st.container(key=f"prune.card.{'main' if card.main else 'more'}.{card.title}"):
                    cards.draw(card)
        provenance.draw_notes(evaluation.notes)


def draw_dtype(chosen: selection.Selection, shown: "job_view.Shown[Evaluation]") -> None:
    """Which number type the numbers are measured in, and how far it is from float32."""
    st.toggle(
        "Evaluate in float32",
        key="prune.float32",
        persist_state="session",
        help="Otherwise evaluations run in bfloat16 if a timing on this machine found it faster. Entropies are always "
        "measured in float32.",
    )
    if not shown.fresh or shown.result is None or shown.result.dtype == "float32":
        return
    # Of the dense model, so that it is computed once for a text and not for every tick.
    exact = job_view.show(
        lambda: _evaluate(EvaluationRequest(chosen, "", "float32"), supersede=False),
        place=OTHER_PLACE,
        label="The dense model in float32",
        about=chosen,
    )
    if exact.fresh and exact.result is not None:
        st.caption(costs.difference(shown.result, exact.result))


def named(drop: str) -> str:
    """A prune set for a sentence, as Markdown; long ones are cut."""
    if not drop:
        return "Nothing dropped: the dense model"
    return f"Without {escape(some(drop.split(','), NAMED))}"


def measured_on(evaluation: "Evaluation", asked: EvaluationRequest) -> str:
    """The model, the text and how much of it, the number type; as Markdown."""
    model, total = provenance.model(asked.selection.model), evaluation.windows_total
    done = f"{evaluation.windows} of " if evaluation.windows < total else ""
    windows = done + of_windows(total, evaluation.window_length)
    return f"{model} on {asked.selection.text_title}, {windows}, {evaluation.dtype}"
