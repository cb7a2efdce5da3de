"""The bench in the browser: curve, bars and cells over one depth axis, on which blocks are ticked."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from entviz.blocks import Block
from entviz.errors import EntvizError
from entviz.figures import bench, theme
from pages.parts.prune import criteria, ticks
from pages.parts.shared import selection

if TYPE_CHECKING:
    import pandas as pd

    from entviz.analysis import Analysis

HEIGHT: Final = 440  # pixels, about what it takes in a window of 800
_KEY: Final = "prune.bench"
_REPAIR_ROW: Final = 24  # pixels that a repair takes above the bench: so much lower is the curve
_HTML: Final = f"""
<div class="bench" role="group" aria-label="Blocks; arrow keys move, Space ticks"
style="--cross:{theme.PRUNED_COLOUR};--grid:{theme.GRID_COLOUR};--rule:{theme.LINE_COLOUR}">
<div class="said"></div>
<div class="scroll"><div class="inside">
<div class="pin"><svg class="titles" aria-hidden="true"></svg><div class="strip curve-legend"></div>
<div class="strip measures" role="radiogroup" aria-label="What the bars show"></div></div>
<div class="plot"><svg class="drawing" role="img"></svg><div class="cells"></div>
<svg class="marks" aria-hidden="true"></svg></div>
</div></div>
<div class="colours"></div>
<details><summary>Tick in a table</summary><div class="rows"></div></details></div>
"""
_FOLDER: Final = Path(__file__).parent
_CSS: Final = "\n".join(
    (_FOLDER / f"{name}.css").read_text(encoding="utf-8") for name in ("bench", "bench_plot")
)
_JS: Final = "\n".join(
    (_FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in ("bench", "bench_plot", "bench_hand")
)


def draw(
    dense: "Analysis",
    pruned: "Analysis | None",
    repaired: "Analysis | None",
    cells: "pd.DataFrame",
    choice: criteria.RankingChoices,
    *,
    alt: str,
    damage: "pd.DataFrame | None" = None,
    turns: bool = True,
) -> None:
    """The bench; a click on a cell, a bar or a point of the curve ticks or unticks its block.

    ``alt`` is what the curve shows, in words. ``damage`` and ``turns`` are as :func:`entviz.figures.bench.picture`
    takes them.
    """
    drawn: dict[str, Any] = bench.picture(
        dense,
        choice.estimator,
        cells,
        ranked=choice.kinds,
        pruned=pruned,
        repaired=repaired,
        score_title=choice.score_title,
        damage=damage,
        turns=turns,
    )
    mount = st.components.v2.component("entviz_bench", html=_HTML, css=_CSS, js=_JS)
    mount(
        key=_KEY,
        data=drawn
        | {"seen": ticks.counted(), "alt": alt, "above": _REPAIR_ROW if selection.get("repair") else 0},
        on_toggles_change=_take_clicks,
    )


def _take_clicks() -> None:
    """Toggle what was clicked. The browser repeats clicks until it hears that they were counted."""
    try:
        clicks = [
            (int(one["number"]), Block.parse(one["block"]))
            for one in st.session_state[_KEY].toggles["clicks"]
        ]
    except (EntvizError, TypeError, ValueError, KeyError):  # no browser of ours says such a thing
        return
    ticks.toggle_numbered(sorted(clicks))
