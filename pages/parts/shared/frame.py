"""Pages run inside the frame, ``app.py``, whichever address is opened first.

Streamlit has two kinds of multipage app. Where a folder named ``pages`` lies beside the main script it takes ours for
the older kind until ``st.navigation`` has run once in the process: anyone who opens ``/prune`` first would get that
script alone, without sidebar and address bar (streamlit 1.67, ``script_runner._mpa_v1``).
"""

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager


def require() -> None:
    """Start over with the frame, on the same page, if the page's script was started without it.

    A page calls this first; :func:`pages.parts.shared.selection.current` does for those that do not.
    """
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()
