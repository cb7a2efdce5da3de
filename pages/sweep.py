"""Sweep: how far the sweeps of commands are, and their tables while they fill."""

from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.runtime import runtime
from entviz.sweep.record import records
from pages.parts.runs import trouble
from pages.parts.shared import frame
from pages.parts.sweep import choosing, table

if TYPE_CHECKING:
    from entviz.sweep.record import Recorded

LOOK_SECONDS: Final = 5.0


def draw() -> None:
    frame.require()
    st.header("Sweep", anchor=False)
    st.caption(
        "A sweep measures models by criteria by budgets by repairs on texts and tasks, on one machine or many. A "
        "command starts it, `entviz sweep CONFIG.yaml`; this page shows what is in the store. Every cell is also a "
        "run: Runs opens it on its page, and compares two."
    )
    trouble.draw()
    found = records(runtime().store)
    chosen = choosing.draw(found)
    if chosen is None:
        st.info(
            "There are no sweeps yet. `entviz sweep` runs one, and `--dry-run` first tells how long it takes.",
            icon=":material/grid_on:",
        )
        return
    # Nothing tells this page that a command has ended, so it looks as long as cells are missing.
    every = LOOK_SECONDS if chosen.cells.get("missing") else None
    st.fragment(_draw_latest, run_every=every)(chosen)


def _draw_latest(shown: "Recorded") -> None:
    """The sweep as the store has it now."""
    latest = next((each for each in records(runtime().store) if each.key == shown.key), shown)
    table.draw(latest)


draw()
