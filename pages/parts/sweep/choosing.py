"""Which sweep is shown: the one that was written last, or another of the list."""

from datetime import UTC, datetime

import streamlit as st

from entviz.sweep.record import Recorded


def draw(found: list[Recorded]) -> Recorded | None:
    """A picker of the recorded sweeps; None if there are none."""
    if not found:
        return None
    by_key = {each.key: each for each in found}
    key = st.selectbox("Sweep", list(by_key), format_func=lambda key: _title(by_key[key]), key="sweep.chosen")
    return by_key.get(key, found[0])


def _title(one: Recorded) -> str:
    when = datetime.fromtimestamp(one.updated, UTC)
    return f"{one.name}, {sum(one.cells.values()):,} cells, {when:%Y-%m-%d %H:%M} UTC"
