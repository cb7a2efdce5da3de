"""What the tabs that leave blocks out have in common: what was asked for, a start with an estimate, what it was on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.models import CATALOG
from entviz.workbench import workbench
from pages.parts import selection, working
from pages.parts.compare_criteria import LEVELS
from pages.parts.markdown import escape

if TYPE_CHECKING:
    from entviz.comparison.interactions import Interactions
    from entviz.comparison.plan import Plan
    from entviz.comparison.trust import Trust

DAMAGES: Final = {"loss": "Loss increase", "kl": "KL from dense"}
_NOUNS: Final = {"layer": "layers", "attn": "attentions", "mlp": "MLPs", "attn+mlp": "attentions and MLPs"}


@dataclass(frozen=True)
class Asked:
    """What is asked for: plain data."""

    selection: selection.Selection
    level: str


def draw_level(place: str) -> str:
    """The picker of the level, one of ``LEVELS``."""
    return st.segmented_control(
        "Blocks",
        LEVELS,
        default="attn",
        required=True,
        format_func=LEVELS.__getitem__,
        key=f"{place}.level",
        persist_state="session",
    )


def draw_damage(place: str) -> str:
    """The picker of the measure of damage, one of ``DAMAGES``."""
    return st.segmented_control(
        "Damage",
        DAMAGES,
        default="loss",
        required=True,
        format_func=DAMAGES.__getitem__,
        key=f"{place}.damage",
        persist_state="session",
        help="Loss increase: how much worse the text's own tokens are predicted. KL from dense: how far all of the "
        "predictions move, which is measured more finely and cannot be negative.",
    )


def started(place: str, asked: Asked) -> bool:
    """Whether the person has asked for this, or it was measured before and is there at once."""
    kind = place.rpartition(".")[2]
    return st.session_state.get(f"{place}.started") == asked or workbench().knows(
        kind, asked.selection.request(), asked.level
    )


def draw_start(place: str, asked: Asked, label: str, estimate: Callable[["Plan"], str]) -> None:
    """The button that starts the work, beside how long it will take here."""
    planned: working.Shown[Plan] = working.show(
        lambda: workbench().plan(asked.selection.request(), asked.level, working.session()),
        place=f"{place}.plan",
        label="Estimating the time",
        about=asked,
    )
    if planned.failed:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            label,
            key=f"{place}.start",
            type="primary",
            icon=":material/play_arrow:",
            on_click=lambda: st.session_state.update({f"{place}.started": asked}),
        )
        if planned.result is not None and planned.about == asked:
            st.caption(estimate(planned.result))


def measured_on(found: "Trust | Interactions", about: Asked, fresh: bool) -> str:
    """What the numbers were measured on, as a sentence in Markdown."""
    model = CATALOG[found.model].title if found.model in CATALOG else found.model
    windows = "1 window" if found.windows == 1 else f"{found.windows} windows"
    measured = (
        f"{_NOUNS[found.level]} of {escape(model)} on {about.selection.text_title}, {windows} of "
        f"{found.window_length} tokens"
    )
    return f"Measured on {measured}." if fresh else f"Shown is the earlier result: {measured}."
