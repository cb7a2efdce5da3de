"""The same without tokens that have massive activations: the measuring, and what changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.figures import massive
from entviz.runtime import runtime
from entviz.studies import Analyze
from entviz.words.massive import RULE
from pages.parts.shared import job_view, selection

if TYPE_CHECKING:
    from entviz.analysis import Analysis

PLACE: Final = "explore.massive"


@dataclass(frozen=True)
class Both:
    """An analysis of all tokens, and the same without massive ones where that is there.

    ``measuring`` says that it will come, and ``switched`` that it is what is to be shown.
    """

    analysis: "Analysis"
    without: "Analysis | None"
    measuring: bool
    switched: bool

    @property
    def shown(self) -> "Analysis":
        """The one whose numbers the page shows."""
        return self.without if self.switched and self.without is not None else self.analysis

    @property
    def other(self) -> "Analysis | None":
        """The other one, where it is there."""
        return self.analysis if self.shown is self.without else self.without


def measure(
    chosen: selection.Selection, shown: "job_view.Shown[Analysis]", specs: Sequence[str], *, entropies: bool
) -> Both:
    """Measure without massive tokens where there are such and it can make a difference to what is said.

    Args:
        shown: the analysis of all tokens, which has a result.
        specs: what it measures.
        entropies: whether any entropy is in view: of these the page says where they turn, whatever is switched on.
    """
    analysis, switched = shown.result, bool(selection.get("without_massive"))
    if analysis is None:
        raise ValueError("there is no analysis to set another beside")
    about = (chosen, tuple(specs))
    if not massive.are_in(analysis) or not (switched or entropies):
        return Both(analysis, None, False, switched)
    if not shown.fresh:
        found: job_view.Shown[Analysis] = job_view.last(PLACE)
    else:
        found = job_view.show(
            lambda: runtime().ask(
                Analyze(chosen.sample(), about[1], without_massive=True), job_view.session()
            ),
            place=PLACE,
            label="Measuring without massive tokens",
            about=about,
        )
    of_this = found.about is not None and found.about[0] == shown.about
    without = found.result if of_this else None
    return Both(analysis, without, shown.fresh and not found.fresh and not found.failed, switched)


def draw_changes(both: Both, metrics: Sequence[str]) -> None:
    """What is left out, and what that changes, where the switch is on."""
    if not both.switched:
        return
    if not massive.are_in(both.analysis):
        known = both.analysis.massive is not None
        st.info(
            "No token has massive activations here: the numbers are those of all tokens."
            if known
            else "Massive tokens were not counted when this was measured.",
            icon=":material/info:",
        )
    elif both.without is not None:
        with st.expander(
            "What changes without massive tokens", icon=":material/compare_arrows:", expanded=True
        ):
            st.dataframe(massive.table(both.analysis, both.without, metrics), hide_index=True)


def draw_tokens(analysis: "Analysis") -> None:
    """The massive tokens, one a row."""
    st.caption(RULE)
    st.dataframe(analysis.massive, hide_index=True, height=320)
