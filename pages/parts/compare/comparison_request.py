"""What was asked for on the Criteria tab: a comparison that the person started."""

from dataclasses import dataclass
from typing import Final

import streamlit as st

from pages.parts.compare.choices import ComparisonChoices
from pages.parts.shared import selection

_STARTED: Final = "compare.started"


@dataclass(frozen=True)
class ComparisonRequest:
    """A comparison as it is asked for: plain data."""

    selection: selection.Selection
    choices: ComparisonChoices


def started(asked: ComparisonRequest) -> dict[str, ComparisonRequest]:
    """What the session's state holds once it is asked for."""
    return {_STARTED: asked}


def start(asked: ComparisonRequest) -> None:
    """Ask for it, from a button's callback."""
    st.session_state.update(started(asked))


def is_started(asked: ComparisonRequest) -> bool:
    """Whether the person asked for this very one last."""
    return bool(st.session_state.get(_STARTED) == asked)
