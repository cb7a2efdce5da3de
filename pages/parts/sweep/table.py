"""The table of a sweep, how many of its cells are done, and why others failed."""

from typing import Any, Final

import streamlit as st

from entviz.studies.listing import as_csv
from entviz.sweep.record import Recorded
from entviz.sweep.table import DONE, FAILED, MISSING, frame_of
from entviz.words.phrases import counted
from pages.parts.shared.markdown import escape

TABLE_HEIGHT: Final = 480
MOST_REASONS: Final = 5
_STATES: Final = {DONE: "Done", MISSING: "Missing", FAILED: "Failed"}
_TEXTS: Final[dict[str, str]] = {
    "model": "Model",
    "criterion": "Criterion",
    "level": "Blocks",
    "budget": "Budget",
    "repair": "Repair",
    "on": "Measured on",
    "state": "State",
    "drop": "Prune set",
    "reason": "Reason",
}
_NUMBERS: Final = {
    "perplexity": ("Perplexity", "%.2f"),
    "dense_perplexity": ("Perplexity, dense", "%.2f"),
    "nll": ("Loss (nats a token)", "%.4f"),
    "kl": ("KL from dense (nats)", "%.4f"),
    "top1_agreement": ("Top-1 agreement", "percent"),
    "plain_perplexity": ("Perplexity without repair", "%.2f"),
    "recovered": ("Added loss recovered", "percent"),
    "accuracy": ("Accuracy", "percent"),
    "accuracy_normalized": ("Accuracy, normalized by length", "percent"),
    "chance": ("Accuracy by chance", "percent"),
}


def draw(one: Recorded) -> None:
    """Counts, the table, its CSV, and the reasons of failures."""
    for column, (state, title) in zip(st.columns(len(_STATES)), _STATES.items(), strict=True):
        column.metric(title, f"{one.cells.get(state, 0):,}")
    shown = st.segmented_control("Cells", list(_STATES), format_func=_STATES.__getitem__, key="sweep.state")
    rows = [row for row in one.rows if shown is None or row.get("state") == shown]
    frame = frame_of(rows)
    formats = {
        name: st.column_config.NumberColumn(title, format=form) for name, (title, form) in _NUMBERS.items()
    }
    st.dataframe(
        frame,
        hide_index=True,
        column_config={**headings(), **formats},
        height=min(TABLE_HEIGHT, 38 + 35 * max(1, len(frame))),
        key="sweep.table",
        alt="The cells of the sweep. The table as CSV holds the same.",
    )
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.download_button(
            "Table as CSV",
            as_csv(frame),
            file_name="entviz-sweep.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="sweep.csv",
        )
        st.page_link("pages/runs.py", label="Open cells on Runs", icon=":material/history:")
    _draw_reasons(one.rows)


def headings() -> dict[str, str]:
    """The heading of each column, by its name in the table and in its CSV."""
    return _TEXTS | {name: title for name, (title, _) in _NUMBERS.items()}


def _draw_reasons(rows: list[dict[str, Any]]) -> None:
    """Each reason for which cells failed, once, with how many cells it is."""
    reasons: dict[str, int] = {}
    for row in rows:
        if row.get("reason"):
            reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
    for reason, count in list(reasons.items())[:MOST_REASONS]:
        st.warning(f"{counted(count, 'cell')} failed. {escape(reason)}", icon=":material/error:")
    if len(reasons) > MOST_REASONS:
        st.caption(f"And {counted(len(reasons) - MOST_REASONS, 'other reason')}, in the table.")
