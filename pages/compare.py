"""Compare: criteria by budgets, two prune sets side by side, which criterion to trust, and how blocks interact."""

from collections.abc import Callable

import streamlit as st

from pages.parts import compare_criteria, compare_two, frame

TABS: dict[str, Callable[[], None]] = {
    "Criteria": compare_criteria.draw,
    "Two prune sets": compare_two.draw,
}
try:
    from pages.parts import compare_interactions, compare_trust  # type: ignore[attr-defined]

    TABS |= {"Which to trust": compare_trust.draw, "Interactions": compare_interactions.draw}
except ImportError:
    pass


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
