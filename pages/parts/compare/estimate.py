"""How much a comparison is, and how long it takes, told before it is started."""

from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.errors import EntvizError
from entviz.runtime import runtime
from pages.parts.compare.comparison_request import ComparisonRequest
from pages.parts.shared import job_view
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    from collections.abc import Callable

    from entviz.comparison.grid.estimate import Estimate
    from entviz.studies import Compare

PLACE: Final = "compare.estimate"


def draw(asked: ComparisonRequest, study: "Callable[[], Compare]") -> None:
    """The estimate once it is there, and until then that it is being made. Stopping it stops nobody from comparing."""
    try:
        wanted = study()
    except EntvizError as error:
        st.caption(escape(str(error)))
        return
    if runtime().knows(wanted):
        st.caption("Measured before: the result is there at once.")
        return
    shown: job_view.Shown[Estimate] = job_view.show(
        lambda: runtime().estimate(wanted, job_view.session()),
        place=PLACE,
        label="Estimating the time",
        about=asked,
    )
    if shown.result is not None and shown.about == asked:
        st.caption(f"{shown.result.in_words()}. You can cancel at any time: finished rows are kept.")
