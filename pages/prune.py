"""Prune: tick blocks to drop, and see at once what that costs."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.figures import grid
from entviz.runtime import runtime
from entviz.studies import Analyze
from pages.parts.prune import (
    bench,
    board,
    continuation,
    criteria,
    curve,
    damage,
    next_best,
    numbers,
    repair_control,
    speed,
    ticks,
    tokens,
    trail,
)
from pages.parts.shared import frame, job_view, parts, selection

if TYPE_CHECKING:
    import pandas as pd
    from streamlit.delta_generator import DeltaGenerator

    from entviz.analysis import Analysis
    from entviz.evaluation.loss import Evaluation
    from entviz.timing import Speed
    from pages.parts.prune import repair

STYLE: Final = Path(__file__).parent / "parts" / "prune" / "page.css"
NEXT: Final = (
    ("compare", "Compare criteria at several budgets", ":material/balance:"),
    ("export", "Export the pruned model", ":material/download:"),
)


def draw() -> None:
    frame.require()
    st.html(STYLE)
    chosen = selection.current()
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="prune.head"):
        st.header("Drop blocks, see the cost", anchor=False)
        repair_control.draw(chosen)
    todo = selection.missing(chosen)
    with st.container(key="prune.work"):
        choice = criteria.draw_pickers()
        shown, repaired, ready = _work(chosen, choice, todo)
    numbers.draw_dtype(chosen, shown)
    trail.draw(shown, repaired)
    board.draw_text()
    tokens.draw(shown, repaired)
    if not todo:
        continuation.draw(chosen, ready, repaired)
    _draw_next()


@st.fragment
def _work(
    chosen: selection.Selection, choice: criteria.RankingChoices, todo: str | None
) -> "tuple[job_view.Shown[Evaluation], repair.Repaired | None, bool]":
    """What a tick changes: the numbers, the bench and the blocks to drop next. A tick draws this alone again.

    Returns the numbers, those with a repair, and whether there is nothing that comes before other work.
    """
    if not todo:
        numbers.ask(chosen)
    costs = st.container()
    cells = _draw_bench(chosen, choice, todo)
    beside, timed = st.container(), st.container()
    with costs:  # drawn last, for by now there may be a first number to show
        shown, repaired = numbers.draw(chosen, todo, partial(_time, timed))
    ready = shown.fresh and cells is not None
    if not todo:
        with beside:
            next_best.draw(chosen, choice, ready=ready)
    parts.follow(at_once=bool(todo) or shown.fresh or shown.failed)
    return shown, repaired, ready


def _time(
    place: "DeltaGenerator", shown: "job_view.Shown[Evaluation]", repaired: "repair.Repaired | None"
) -> "Speed | None":
    with place:
        return speed.draw(shown, repaired)


def _draw_bench(
    chosen: selection.Selection, choice: criteria.RankingChoices, todo: str | None
) -> "pd.DataFrame | None":
    """The bench and the buttons under it, with the jobs behind them. Returns the cells."""
    message, place, buttons = st.container(), st.container(), st.container()
    status = st.container(key="prune.status")
    with status:
        analyzed = _analyze(chosen, choice, todo)
    dense = analyzed.result
    # Ticks are checked only against the model in view: an earlier result may be of another.
    layers = dense.layers if analyzed.fresh and dense is not None else None
    ticks.know_layers(layers)
    with message:
        board.draw_message(layers)
    if dense is None:
        if not todo and not analyzed.failed:
            place.skeleton(height=bench.HEIGHT)
        return None
    rankings, ranking = [], None
    with status:
        other = curve.other(analyzed, choice.estimator)
        if analyzed.fresh:
            ranked = criteria.show_ranking(chosen, choice)
            if ranked.fresh and ranked.result is not None:
                ranking = ranked.result
                rankings = [*criteria.other_rankings(chosen, choice), ranking]
        pruned = curve.measure(chosen, analyzed, choice.estimator)
        repaired = curve.measure_repaired(chosen, analyzed, pruned, choice.estimator)
    cells = grid.table(rankings, dense, choice.estimator, ticks.current(), choice.unit)
    sentence = curve.sentence(analyzed, other, pruned, choice.estimator, repaired)
    turns = curve.turns(dense, other, choice.estimator)
    with place:
        measured = damage.newest(chosen, choice.kinds)
        table = measured.table if measured is not None else None
        bench.draw(dense, pruned, repaired, cells, choice, alt=sentence, damage=table, turns=turns)
        curve.draw_measured_on(analyzed)
    with buttons:
        board.draw_buttons(choice, ranking, dense.layers)
    return cells


def _analyze(
    chosen: selection.Selection, choice: criteria.RankingChoices, todo: str | None
) -> "job_view.Shown[Analysis]":
    if todo:
        return job_view.last("prune.analysis")
    return job_view.show(
        lambda: runtime().ask(
            Analyze(chosen.sample(), choice.measured, without_massive=choice.without_massive),
            job_view.session(),
        ),
        place="prune.analysis",
        label="Measuring hidden states",
        about=(chosen, choice.measured, choice.without_massive),
    )


def _draw_next() -> None:
    folder = Path(__file__).parent
    there = [(name, title, icon) for name, title, icon in NEXT if (folder / f"{name}.py").exists()]
    if there:
        with st.container(horizontal=True, gap="medium"):
            for name, title, icon in there:
                st.page_link(f"pages/{name}.py", label=title, icon=icon)


draw()
