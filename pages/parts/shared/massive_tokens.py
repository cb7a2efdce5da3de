"""The switch that leaves out tokens with massive activations, one choice on all pages and in the link."""

import streamlit as st

from entviz.words.massive import RULE
from pages.parts.shared import bound_widgets


def draw_switch(key: str) -> None:
    """Draw it; ``key`` tells it from the same on another page."""
    st.toggle(
        "Without massive tokens",
        help=f"{RULE} One such token sets the range of every histogram, and can make a turning point by itself. With "
        "this on, every entropy and importance is measured without them; they still go through the model.",
        **bound_widgets.choice("without_massive", key),
    )
