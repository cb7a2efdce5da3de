"""One number of a prune set's cost, as a card with the dense model's beside it."""

from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from entviz.figures.costs import Card


def draw(card: "Card") -> None:
    """Draw the card where the page is; colour says worse or better only where one of them is true."""
    st.metric(
        card.title,
        card.value,
        card.change or None,
        # By name: Streamlit takes a number with a proper minus sign for a positive one.
        delta_color="off" if not card.change or card.worse is None else "red" if card.worse else "green",
        delta_description=f"dense {card.dense}",
        delta_arrow="off",
        help=card.about,
        border=True,
    )
