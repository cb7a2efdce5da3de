"""Angular distance across every run of layers, measured when the person asks for it."""

import streamlit as st

from entviz.figures import comparison as drawn
from entviz.figures import theme
from entviz.runtime import runtime
from entviz.studies import MeasureAngles
from pages.parts.shared import job_view, provenance, selection


def draw(chosen: selection.Selection) -> None:
    """What the angular-distance criterion goes by, for the text in the sidebar."""
    with st.expander("Runs of layers: angular distance", icon=":material/grid_on:"):
        st.caption(
            "Angular distance between the input of the first layer of a run and the output of its last. A small "
            "distance means that the run changes little. For each size, the angular-distance criterion drops the "
            "run with the smallest distance (circles). Gromov et al., 2024."
        )
        if not st.toggle(
            "Measure it on the text in the sidebar", key="compare.angles", persist_state="session"
        ):
            return
        shown = job_view.show(
            lambda: runtime().ask(MeasureAngles(chosen.sample()), job_view.session()),
            place="compare.angles",
            label="Measuring angles",
            about=chosen,
        )
        if shown.result is not None:
            st.plotly_chart(
                drawn.angular_map(shown.result.distances),
                key="compare.angular_map",
                config=theme.export_config("entviz-angular-distance"),
                alt="Angular distance across every run of layers, by first layer and number of layers",
            )
            provenance.draw_notes(shown.result.notes)
