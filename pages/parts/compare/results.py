"""What a comparison found: the verdict in words, the chart, the table, and a way on from any of its rows."""

from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import streamlit as st

from entviz.comparison.grid.result import pareto_front
from entviz.comparison.grid.verdict import verdict
from entviz.figures import comparison as drawn
from entviz.figures import theme
from entviz.words.phrases import counted
from pages.parts.shared import address, downloads, provenance, selection
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    from entviz.comparison.grid.result import Comparison

# Which text prune sets were measured on, beside the one that the criteria chose by.
LATER_WINDOWS: Final = "later windows of {text}"
OTHER_PASSAGES: Final = "the other built-in passages"
ANOTHER_TEXT: Final = "another text"
TABLE: Final = "compare.table"
PICKED: Final = "compare.picked"
ROWS: Final = 11  # of the table without a scroll bar of its own
TABLE_HEIGHT: Final = 420  # pixels, with one


def draw(comparison: "Comparison", asked: selection.Selection, on: str, fresh: bool) -> None:
    """All of it, for a comparison that is not being worked on just now. ``on`` is one of the three texts above."""
    st.caption(_measured_on(comparison, asked, on, fresh))
    if comparison.rows.empty:
        _draw_notes(comparison)
        return
    if comparison.finished:
        st.markdown("\n".join(f"- {escape(paragraph)}" for paragraph in verdict(comparison)))
    _draw_chart(comparison)
    table = _table(comparison)
    _draw_table(table, comparison)
    _draw_way_on(comparison)
    _draw_notes(comparison)


def draw_partial(comparison: "Comparison") -> None:
    """The rows so far, while others are being measured."""
    if comparison.rows.empty:
        return
    st.caption(f"{len(comparison.rows)} of {comparison.rows_total} prune sets measured so far.")
    st.dataframe(_table(comparison), hide_index=True, height=TABLE_HEIGHT, column_config=_columns(comparison))


def _measured_on(comparison: "Comparison", asked: selection.Selection, on: str, fresh: bool) -> str:
    text = on.format(text=asked.text_title)
    if comparison.overlap:
        text = f"the same windows of {asked.text_title}, which flatters criteria that try prune sets"
    said = (
        f"{provenance.model(comparison.model)}. Chosen by {counted(comparison.calibration_windows, 'window')} of "
        f"{asked.text_title}; measured on {counted(comparison.windows, 'window')} of {comparison.window_length} "
        f"tokens, {text}; {comparison.dtype}. "
        "Speed is that of reading one window, in turn with the dense model on this machine, with the range of half of "
        "the rounds."
    )
    return said if fresh else f"This is an earlier result. {said}"


def _draw_chart(comparison: "Comparison") -> None:
    qualities = [name for name in drawn.QUALITY_TITLES if comparison.task or not name.startswith("accuracy")]
    with st.container(horizontal=True, gap="medium"):
        quality = st.segmented_control(
            "Quality",
            qualities,
            format_func=lambda name: drawn.QUALITY_TITLES[name].partition(" (")[0],
            default=qualities[0],
            required=True,
            key=f"compare.quality.{bool(comparison.task)}",
            persist_state="session",
        )
        cost = st.segmented_control(
            "Against",
            list(drawn.COST_TITLES),
            format_func={"parameters_kept": "Parameters kept", "speedup": "Measured speed"}.__getitem__,
            default="parameters_kept",
            required=True,
            key="compare.cost",
            persist_state="session",
        )
    quality, cost = quality or qualities[0], cost or "parameters_kept"
    st.plotly_chart(
        drawn.quality_chart(comparison, quality, cost),
        key="compare.chart",
        config=theme.export_config(f"entviz-compare-{quality}"),
        alt=f"{drawn.QUALITY_TITLES[quality]} against {drawn.COST_TITLES[cost]}, a line for each criterion. The table "
        "below holds the same numbers.",
    )


def _table(comparison: "Comparison") -> pd.DataFrame:
    """The table for the screen and for files: dense first, then a row for each criterion, level and budget."""
    table = comparison.table()
    front = pareto_front(table, "perplexity", "parameters_kept")
    dense = comparison.dense.assign(title="Dense", level="", budget="")
    names = [
        "title",
        "level",
        "budget",
        "perplexity",
        "kl",
        "top1_agreement",
        "accuracy",
        "accuracy_normalized",
    ]
    names += ["parameters_kept", "speedup", "speedup_low", "speedup_high", "drop"]
    # What an earlier version has measured lacks the spread of its speeds.
    shown = pd.concat([part.reindex(columns=names) for part in (dense, table)], ignore_index=True)
    shown.insert(3, "front", [False, *front])
    return shown if comparison.task else shown.drop(columns=["accuracy", "accuracy_normalized"])


def _columns(comparison: "Comparison") -> dict[str, Any]:
    number, config = st.column_config.NumberColumn, st.column_config
    return {
        "title": config.TextColumn("Criterion", pinned=True),
        "level": config.TextColumn("Level"),
        "budget": config.TextColumn("Budget"),
        "front": config.CheckboxColumn(
            "Front", help="No other row has a lower perplexity with as few parameters, or fewer."
        ),
        "perplexity": number("Perplexity", format="%.2f"),
        "kl": number(
            "KL (nats)", format="%.3f", help="Divergence of the predictions from the dense model's."
        ),
        "top1_agreement": number(
            "Top-1",
            format="percent",
            help="Share of tokens for which the most likely next token is the dense model's.",
        ),
        "accuracy": number("Accuracy", format="percent", help=f"On {escape(comparison.task)}."),
        "accuracy_normalized": number("Accuracy, norm.", format="percent"),
        "parameters_kept": number("Parameters kept", format="percent"),
        "speedup": number(
            "Speed",
            format="%.2f ×",
            help="Speed relative to the dense model, both timed in turn: the median over rounds.",
        ),
        "speedup_low": number(
            "Speed from", format="%.2f ×", help="In half of the rounds the speed was from here …"
        ),
        "speedup_high": number("to", format="%.2f ×", help="… to here."),
        "drop": config.TextColumn("Without", width="large"),
    }


def _draw_table(table: pd.DataFrame, comparison: "Comparison") -> None:
    st.dataframe(
        table,
        hide_index=True,
        height="auto" if len(table) <= ROWS else TABLE_HEIGHT,
        column_config=_columns(comparison),
        key=TABLE,
        on_select=_take_row,
        selection_mode="single-row",
    )
    downloads.draw_csv("Table as CSV", table, "entviz-comparison.csv", key="compare.csv")
    if comparison.task:
        st.caption(
            f"Accuracy on {comparison.items} items is uncertain by up to ± {comparison.accuracy_margin:.0%} "
            "(95% interval)."
        )


def _take_row() -> None:
    rows = st.session_state[TABLE]["selection"]["rows"]
    if rows and rows[0] > 0:  # the first is the dense model
        st.session_state[PICKED] = rows[0] - 1


def _draw_way_on(comparison: "Comparison") -> None:
    """From a row to the Prune page, or into the tab with two prune sets."""
    table = comparison.table()
    several = table["level"].nunique() > 1
    titles = [
        f"{row.title}, {row.budget}" + (f", {row.level}" if several else "") for row in table.itertuples()
    ]
    if not 0 <= st.session_state.get(PICKED, 0) < len(table):
        st.session_state[PICKED] = 0
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        picked = st.selectbox(
            "Row",
            range(len(table)),
            format_func=titles.__getitem__,
            key=PICKED,
            width=300,
            help="Or select a row of the table.",
        )
        drop = str(table["drop"].iloc[picked])
        for side in ("a", "b"):
            st.button(
                f"Take as {side.upper()}",
                key=f"compare.take.{side}",
                on_click=lambda side=side: st.session_state.update({f"compare.set.{side}": drop}),
                help="For the tab with two prune sets.",
            )
        st.page_link(
            "pages/prune.py",
            label="Open in Prune",
            icon=":material/content_cut:",
            query_params=address.parameters(drop=drop),
        )


def _draw_notes(comparison: "Comparison") -> None:
    for note in comparison.notes:
        st.caption(escape(note))
