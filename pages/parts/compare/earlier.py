"""The newest comparison that was made of a text, shown again, and gone on with where it was stopped."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from entviz.runtime import runtime
from entviz.store import Run
from entviz.studies.comparison import texts_key
from pages.parts.compare import choices, comparison_request, results
from pages.parts.shared import atomic_state, selection


def draw(chosen: selection.Selection) -> None:
    """The newest comparison of this text that was kept, from another session or from before a restart."""
    earlier = runtime().earlier_comparison(chosen.sample())
    if earlier is None:
        st.caption("Nothing has been compared on this text yet.")
        return
    run, found = earlier
    if not found.finished:
        note, button = st.columns([4, 1], vertical_alignment="center")
        note.info(
            f"A comparison of this text was stopped with {len(found.rows)} of {found.rows_total} rows done. They are "
            "below, and are not measured again.",
            icon=":material/history:",
        )
        button.button(
            "Go on",
            key="compare.go_on",
            icon=":material/play_arrow:",
            on_click=_go_on,
            args=(chosen, run.options),
            width="stretch",
        )
    results.draw(found, chosen, _measured_on(run, chosen), fresh=found.finished)


def _measured_on(run: Run, chosen: selection.Selection) -> str:
    """Which text the prune sets were measured on; a shell may name any."""
    kept = run.options.get("measure_on")
    if not kept:
        return results.LATER_WINDOWS
    return (
        results.OTHER_PASSAGES if kept == texts_key(choices.other_passages(chosen)) else results.ANOTHER_TEXT
    )


def _go_on(chosen: selection.Selection, options: Mapping[str, Any]) -> None:
    """Choose what an earlier comparison had chosen, and start it."""
    windows, length, begin = options["windows"], options["window_length"], options.get("begin", True)
    selected = replace(chosen, windows=windows, window_length=length, begin=begin)
    asked = comparison_request.ComparisonRequest(selected, choices.of_run(options))
    atomic_state.choose(
        {"windows": windows, "length": length, "begin": begin},
        choices.shown(asked.choices, chosen) | comparison_request.started(asked),
    )
