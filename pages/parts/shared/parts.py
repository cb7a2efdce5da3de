"""A part of a page that is drawn again by itself, and the rest of the page after it.

::

    @st.fragment
    def work():
        ...
        parts.follow(at_once=shown.fresh)

What a person does in such a part is answered by drawing that part, which takes a browser a fraction of the time that
the whole page takes. The rest of the page still shows what was before, and follows.
"""

from typing import Final

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.parts.shared import address

SECONDS: Final = 2.0  # after which the rest follows, whatever is still awaited


def alone() -> bool:
    """Whether this run draws parts only, and not the whole page."""
    context = get_script_run_ctx()
    return context is not None and bool(context.fragment_ids_this_run)


def follow(*, at_once: bool) -> None:
    """Draw the rest of the page too, if only this part was drawn: now, or else in a moment. The part ends with it."""
    if not alone():
        return
    address.write()
    if at_once:
        st.rerun()
    looked: list[bool] = []

    def rest() -> None:
        if looked:  # drawn first with the part
            st.rerun()
        looked.append(True)

    st.fragment(rest, run_every=SECONDS)()
