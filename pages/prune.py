"""Prune: tick blocks to drop, and see at once what that costs."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.figures import grid
from entviz.runtime import runtime
from entviz.studies import Analyze
from pages.parts.prune import board, continuation, criteria, curve, numbers, ticks, tokens
from pages.parts.shared import frame, job_view, selection

if TYPE_CHECKING:
    import pandas as pd

    from entviz.analysis import Analysis

NEXT: Final = (
    ("compare", "Compare criteria at several budgets", ":material/balance:"),
    ("export", "Export the pruned model", ":material/download:"),
)


def draw() -> None:
    frame.require()
    st.header("Drop blocks, see the cost", anchor=False)
    chosen = selection.current()
    todo = selection.missing(chosen)
    choice = criteria.draw_pickers()
    if not todo:
        numbers.ask(chosen)
    left, right = st.columns([4, 5], gap="medium")
    with left:
        analyzed, cells = _draw_board(chosen, choice, todo)
    with right:  # drawn last, for by now there may be a first number to show
        shown = numbers.draw(chosen, todo)
    board.draw_text()
    curve.draw(chosen, analyzed, choice.estimator)
    tokens.draw(shown)
    if not todo:
        continuation.draw(chosen, ready=shown.fresh and cells is not None)
    _draw_next()


def _draw_board(
    chosen: selection.Selection, choice: criteria.RankingChoices, todo: str | None
) -> "tuple[job_view.Shown[Analysis], pd.DataFrame | None]":
    """The grid and the buttons. Returns the analysis behind them, which is a job of its own, and the cells."""
    if todo:
        analyzed: job_view.Shown[Analysis] = job_view.last("prune.analysis")
    else:
        analyzed = job_view.show(
            lambda: runtime().ask(Analyze(chosen.sample(), choice.measured), job_view.session()),
            place="prune.analysis",
            label="Measuring hidden states",
            about=(chosen, choice.measured),
        )
    # Ticks are checked only against the model in view: an earlier result may be of another.
    layers = analyzed.result.layers if analyzed.fresh and analyzed.result is not None else None
    ticks.know_layers(layers)
    board.draw_message(layers)
    if analyzed.result is None:
        if not todo and not analyzed.failed:
            st.skeleton(height=440)
        return analyzed, None
    rankings, ranking = [], None
    if analyzed.fresh:
        ranked = criteria.show_ranking(chosen, choice)
        if ranked.fresh and ranked.result is not None:
            ranking = ranked.result
            rankings = [*criteria.other_rankings(chosen, choice), ranking]
    cells = grid.table(rankings, analyzed.result, choice.estimator, ticks.current(), choice.unit)
    board.draw_grid(cells, choice)
    board.draw_buttons(choice, ranking, analyzed.result.layers)
    return analyzed, cells


def _draw_next() -> None:
    folder = Path(__file__).parent
    there = [(name, title, icon) for name, title, icon in NEXT if (folder / f"{name}.py").exists()]
    if there:
        with st.container(horizontal=True, gap="medium"):
            for name, title, icon in there:
                st.page_link(f"pages/{name}.py", label=title, icon=icon)


draw()
