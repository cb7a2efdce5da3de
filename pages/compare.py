"""Compare: criteria by budgets, two prune sets side by side, which criterion to trust, and how blocks interact."""

from typing import Final

import streamlit as st

from pages.parts.compare import criteria, interactions, trust, two
from pages.parts.shared import frame

TABS: Final = {
    "Criteria": criteria.draw,
    "Two prune sets": two.draw,
    "Which to trust": trust.draw,
    "Interactions": interactions.draw,
}


def draw() -> None:
    frame.require()
    st.header("Compare", anchor=False)
    # With a callback only the open tab is drawn, so that no other starts its work.
    for tab, draw_tab in zip(
        st.tabs(list(TABS), key="compare.tab", on_change="rerun"), TABS.values(), strict=True
    ):
        if tab.open:
            with tab:
                draw_tab()


draw()
