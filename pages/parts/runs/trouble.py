"""What is wrong with the database of the runs, said above their list."""

import streamlit as st

from entviz.runtime import runtime
from pages.parts.runs import filters
from pages.parts.shared.markdown import escape


def draw() -> None:
    """Warn where results are not kept, and say what had to be mended."""
    store = runtime().store
    if store.trouble is not None:
        more = " Runs from before are not listed until then." if hides_runs() else ""
        st.warning(escape(f"{store.trouble} entviz tries again by itself.{more}"), icon=":material/warning:")
        st.button("Try again", icon=":material/refresh:", on_click=filters.refresh, key="runs.again")
    for notice in store.notices:
        st.warning(escape(notice), icon=":material/healing:")


def hides_runs() -> bool:
    """Whether there may be runs that cannot be read now."""
    return runtime().store.unreadable is not None
