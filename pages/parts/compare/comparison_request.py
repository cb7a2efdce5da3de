"""What was asked for on the Criteria tab: a comparison that the person started."""

from dataclasses import dataclass
from typing import Final

import streamlit as st

from pages.parts.compare.choices import Choices
from pages.parts.shared import selection

_STARTED: Final = "compare.started"


@dataclass(frozen=True)
class Asked:
    """A comparison as it is asked for: plain data."""

    selection: selection.Selection
    choices: Choices


def started(asked: Asked) -> dict[str, Asked]:
    """What the session's state holds once it is asked for."""
    return {_STARTED: asked}


def start(asked: Asked) -> None:
    """Ask for it, from a button's callback."""
    st.session_state.update(started(asked))


def is_started(asked: Asked) -> bool:
    """Whether the person asked for this very one last."""
    return bool(st.session_state.get(_STARTED) == asked)
