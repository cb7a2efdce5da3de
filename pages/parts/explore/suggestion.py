"""The one thing to do next: drop the block that looks cheapest, and see on Prune what that costs."""

from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.figures import reading
from entviz.words.metrics import metric_title
from pages.parts.prune import ticks
from pages.parts.shared import selection

if TYPE_CHECKING:
    from entviz.analysis import Analysis

KIND: Final = "attn"  # what the paper drops first
METRIC: Final = "cosine"
PAGE: Final = "pages/prune.py"


def draw(analysis: "Analysis") -> None:
    """A button that drops the attention with the lowest importance; nothing if some block is dropped already."""
    metric = selection.spec(METRIC)
    if selection.get("drop") or metric not in analysis.metrics:
        return
    lowest = reading.lowest_blocks(analysis, metric, (KIND,), 1)
    if lowest.empty:
        return
    block = str(lowest["block"].iloc[0])
    if st.button(
        f"Drop {block}: the cheapest attention by {metric_title(metric).lower()}",
        key="explore.suggestion",
        icon=":material/content_cut:",
        help="Opens Prune without this block, and measures what that costs.",
    ):
        ticks.put(block)
        st.switch_page(PAGE)
