"""What dropping does to the entropy curve: the pruned model's over the dense model's, measured as blocks are ticked."""

from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.blocks import PruneSet
from entviz.figures import depth, reading, theme
from entviz.runtime import runtime
from entviz.studies import AnalyzePruned
from entviz.words.metrics import metric_title
from entviz.words.phrases import some
from pages.parts.prune import numbers, ticks
from pages.parts.shared import job_view, provenance, selection
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    from entviz.analysis import Analysis

PLACE: Final = "prune.curve"


def draw(chosen: selection.Selection, dense: "job_view.Shown[Analysis]", metric: str) -> None:
    """The curve of one entropy. The dense one is there at once, the pruned one as soon as it is measured.

    ``dense`` is the analysis of the dense model, and ``metric`` a spec that it holds.
    """
    if dense.failed or dense.result is None or metric not in dense.result.entropies:
        return
    st.subheader(f"{metric_title(metric, 'entropy')} across depth", anchor=False)
    said, chart = st.container(), st.container()
    pruned = _measure(chosen, dense, metric) if ticks.current() else None
    if pruned is None:
        sentence = reading.sentence(dense.result, metric, selection.KINDS)
        figure = depth.entropy_curve(dense.result, metric)
    else:
        blocks = some([str(block) for block in pruned.drop], numbers.NAMED)
        sentence = f"Without {blocks}: {reading.pruned_sentence(dense.result, pruned, metric)}"
        figure = depth.pruned_curve(dense.result, pruned, metric)
    said.markdown(escape(sentence))
    found = dense.result
    on = provenance.on(found.model, dense.about[0].text_title, found.windows, found.window_length)
    said.caption(provenance.sentence(on, dense.fresh))
    chart.plotly_chart(
        figure, key=PLACE, config=theme.export_config(f"entviz-{metric}-pruned-entropy"), alt=sentence
    )
    if pruned is not None:
        chart.plotly_chart(
            depth.entropy_change(dense.result, pruned, metric),
            key=f"{PLACE}.change",
            config=theme.export_config(f"entviz-{metric}-entropy-change"),
            alt="Entropy at each site without the dropped blocks, minus that of the dense model, in nats",
        )


def _measure(
    chosen: selection.Selection, dense: "job_view.Shown[Analysis]", metric: str
) -> "Analysis | None":
    """The analysis of the pruned model: the newest there is of this model and text."""
    drop = ticks.text()
    if not dense.fresh:  # what it would be drawn over is of something else
        return None
    blocks = PruneSet.parse(drop)
    measured = dense.about[1]
    study = AnalyzePruned(chosen.sample(), (metric,), drop=blocks, along=measured)
    together = AnalyzePruned(chosen.sample(), measured, drop=blocks)
    if runtime().knows(together):  # a shell measures all metrics together
        study = together
    shown: job_view.Shown[Analysis] = job_view.show(
        lambda: runtime().ask(study, job_view.session()),
        place=PLACE,
        label="Measuring the pruned stream",
        about=(chosen, metric, drop),
    )
    if shown.result is None or shown.about[:2] != (chosen, metric):
        return None
    return shown.result
