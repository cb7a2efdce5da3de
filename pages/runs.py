"""Runs: what was computed before, to be found, opened again, compared, taken along and deleted."""

from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.studies.listing import as_csv, listing
from entviz.words.phrases import counted
from pages.parts.runs import compare, filters, one, opening, trouble
from pages.parts.shared import frame

if TYPE_CHECKING:
    import pandas as pd

    from entviz.store import Run

TABLE_HEIGHT: Final = 380


def draw() -> None:
    frame.require()
    opening.go()
    st.header("Runs", anchor=False)
    st.caption(
        "Every result is kept, so that nothing is computed twice. Anyone who can open this dashboard sees all runs and "
        "their texts, and can delete them."
    )
    found = filters.draw()
    trouble.draw()
    if not found:
        _draw_empty()
        return
    table = listing(found)
    chosen = _draw_table(found, table)
    _draw_below(found, table)
    if not chosen:
        st.info(
            "Tick one run to open it or download its report, or several to compare them.",
            icon=":material/check_box:",
        )
        return
    if len(chosen) == 1:
        one.draw(chosen[0])
    else:
        compare.draw(chosen)
    _draw_delete(chosen)


def _draw_table(found: "list[Run]", table: "pd.DataFrame") -> "list[Run]":
    """The runs as a table; returns those that are ticked."""
    # Ticks are kept by position, so another list of runs needs a table of its own.
    name = filters.table_key(found)
    state = st.dataframe(
        table,
        key=name,
        hide_index=True,
        height=min(TABLE_HEIGHT, 38 + 35 * len(found)),
        on_select="rerun",
        selection_mode="multi-row",
        column_order=("when", "kind", "text", "dropped", "found", "model", "windows", "tokens"),
        column_config={
            "when": st.column_config.DatetimeColumn(
                "When", format="YYYY-MM-DD HH:mm", timezone=st.context.timezone
            ),
            "kind": st.column_config.TextColumn("Kind", width="small"),
            "found": st.column_config.TextColumn("Main numbers", width=340),
            "dropped": st.column_config.TextColumn("Dropped", width=130),
            "model": st.column_config.TextColumn("Model", width="small"),
            "text": st.column_config.TextColumn("Text", width=190),
            "windows": st.column_config.NumberColumn("Windows", width="small"),
            "tokens": st.column_config.NumberColumn("Tokens each", width="small"),
        },
        alt="Stored runs, the newest first. The listing as CSV holds the same.",
    )
    return [found[row] for row in state["selection"]["rows"] if row < len(found)]


def _draw_below(found: "list[Run]", table: "pd.DataFrame") -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.download_button(
            "Listing as CSV",
            as_csv(table),
            file_name="entviz-runs.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="runs.csv",
        )
        st.button("Refresh", icon=":material/refresh:", on_click=filters.refresh, key="runs.refresh")
        count = counted(len(found), "run")
        more = ", the newest; filter to see older ones" if len(found) >= filters.LISTED else ""
        st.caption(
            f"{count}{more}. Kept until {filters.bound_in_words()}; then the least recently used are deleted."
        )


def _draw_delete(chosen: "list[Run]") -> None:
    count = "this run" if len(chosen) == 1 else f"these {len(chosen)} runs"
    with st.popover(f"Delete {count}", icon=":material/delete:"):
        st.markdown(f"Delete {count} for everyone? Deleted results must be computed again.")
        st.button(
            f"Yes, delete {count}",
            type="primary",
            key="runs.delete",
            on_click=filters.delete,
            args=(tuple(run.key for run in chosen),),
        )


def _draw_empty() -> None:
    if trouble.hides_runs():
        return
    if filters.narrowed():
        st.info("No runs match. Remove a filter to see others.", icon=":material/filter_alt_off:")
        return
    st.info(
        "There are no runs yet. Look at a text on Explore or drop blocks on Prune: every result, from a page or a "
        "shell, is listed here. You can open, compare and download it.",
        icon=":material/history:",
    )
    with st.container(horizontal=True, gap="small"):
        st.page_link("pages/explore.py", label="Explore a text", icon=":material/show_chart:")
        st.page_link("pages/prune.py", label="Drop blocks", icon=":material/content_cut:")


draw()
