"""One run: what it was, opening it again on its page, and its report."""

import streamlit as st

from entviz.report import file_name
from entviz.runtime import runtime
from entviz.store import Run
from entviz.studies.listing import dropped, found
from entviz.studies.registry import title_of
from pages.parts.runs import opening
from pages.parts.shared import job_view, report_button
from pages.parts.shared.markdown import escape


def draw(run: Run) -> None:
    text, session = runtime().store.text(run.key), job_view.session()
    st.subheader(title_of(run.kind), anchor=False)
    drop = dropped(run)
    bare = "" if run.options.get("begin", True) else ", without the token that begins a text"
    about = f"{escape(run.model)} on {escape(run.description)}{bare}"
    st.markdown(f"{about}. Dropped: {escape(drop)}." if drop else f"{about}.")
    if said := found(run):
        st.markdown(escape(said))
    st.caption(f"Computed by {escape(run.program)}; {run.bytes / 1000:,.0f} kB.")
    closed = opening.closed(run, text)
    if note := closed or opening.differs(run, text):
        st.caption(escape(note))
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if not closed:
            opening.draw_button(run, text)
        report_button.draw_button(
            lambda: report_button.of_run(run, text, session),
            file_name(run.kind, run.model),
            key="runs.report",
        )
