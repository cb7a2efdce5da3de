"""Choices that belong together but lie under several keys of the session's state: made all or none.

When the next click comes, Streamlit stops a run at any access to the session's state, even in the middle of
a callback. So the new values are noted first, in one write. If the run that sets them is stopped, the next one sets
them before anything is drawn.
"""

from collections.abc import Mapping
from typing import Any, Final

import streamlit as st

from pages.parts.shared import selection

_NOTED: Final = "together.noted"  # in the session's state: choices of the view, and values of widgets


def choose(choices: Mapping[str, Any], widgets: Mapping[str, Any]) -> None:
    """Set choices of :mod:`pages.parts.shared.selection` and values of widgets by key. Call it from a callback."""
    st.session_state[_NOTED] = (dict(choices), dict(widgets))
    finish()


def finish() -> None:
    """Set what a run that was stopped has left to set; the frame calls it before any widget is drawn."""
    noted: tuple[dict[str, Any], dict[str, Any]] | None = st.session_state.get(_NOTED)
    if noted is None:
        return
    choices, widgets = noted
    selection.put(**choices)
    st.session_state.update(widgets)
    # Last, so that where this run is stopped the next one does it all again.
    st.session_state[_NOTED] = None
