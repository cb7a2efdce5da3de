"""What dropping does to the entropy curve: the pruned model's, measured as blocks are ticked, and what it says."""

from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.blocks import PruneSet
from entviz.figures import massive, reading
from entviz.runtime import runtime
from entviz.stages import stages
from entviz.studies import Analyze, AnalyzePruned
from entviz.words.phrases import some
from pages.parts.prune import numbers, repair, ticks
from pages.parts.shared import job_view, provenance, selection
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    from entviz.analysis import Analysis

REPAIRED_PLACE: Final = "prune.curve_repaired"
OTHER_PLACE: Final = "prune.massive"


def measure(chosen: selection.Selection, dense: "job_view.Shown[Analysis]", metric: str) -> "Analysis | None":
    """The analysis of the pruned model, as a job on the screen: the newest there is of this model and text.

    None where nothing is dropped, and where ``dense``, over which it is drawn, is of something else or failed.
    """
    drop = ticks.text()
    if not drop or not dense.fresh or dense.failed or dense.result is None:
        return None
    if metric not in dense.result.entropies:
        return None
    blocks = PruneSet.parse(drop)
    measured = dense.about[1]
    bare = dense.result.without_massive
    study = AnalyzePruned(chosen.sample(), (metric,), drop=blocks, along=measured, without_massive=bare)
    together = AnalyzePruned(chosen.sample(), measured, drop=blocks, without_massive=bare)
    if runtime().knows(together):  # a shell measures all metrics together
        study = together
    shown: job_view.Shown[Analysis] = job_view.show(
        lambda: runtime().ask(study, job_view.session()),
        place=numbers.CURVE_PLACE,
        label="Measuring the pruned stream",
        about=(chosen, metric, bare, drop),
    )
    if shown.result is None or shown.about[:3] != (chosen, metric, bare):
        return None
    return shown.result


def measure_repaired(
    chosen: selection.Selection, dense: "job_view.Shown[Analysis]", pruned: "Analysis | None", metric: str
) -> "Analysis | None":
    """The analysis of the repaired model, as a job on the screen, once what it costs is measured; or None.

    ``pruned`` is that without the repair, over which it is drawn.
    """
    about = repair.request(numbers.request(chosen))
    if about is None or pruned is None or not dense.fresh or not runtime().knows(about.study):
        return None
    study = AnalyzePruned(
        chosen.sample(),
        (metric,),
        drop=about.study.drop,
        without_massive=pruned.without_massive,
        repair=about.repair.choice,
    )
    asked = (about, metric, pruned.without_massive)
    shown: job_view.Shown[Analysis] = job_view.show(
        lambda: runtime().ask(study, job_view.session()),
        place=REPAIRED_PLACE,
        label="Measuring the repaired stream",
        about=asked,
    )
    return shown.result if shown.about == asked else None


def other(shown: "job_view.Shown[Analysis]", metric: str) -> "Analysis | None":
    """The analysis of the dense model without massive tokens, or with all where ``shown`` is without them.

    It is measured, as a job on the screen, where it can make a difference to what is said: where massive tokens may be
    what makes the curve turn. Otherwise it is None unless it is known already.
    """
    dense = shown.result
    if dense is None or not massive.are_in(dense):
        return None
    if not shown.fresh or shown.failed:
        earlier = job_view.last(OTHER_PLACE)
        return earlier.result if earlier.about == shown.about else None
    chosen, measured, without = shown.about
    study = Analyze(chosen.sample(), measured, without_massive=not without)
    if not runtime().knows(study) and not _may_turn_by_them(dense, metric):
        return None
    found: job_view.Shown[Analysis] = job_view.show(
        lambda: runtime().ask(study, job_view.session(), slot=None),
        place=OTHER_PLACE,
        label="Measuring without massive tokens",
        about=shown.about,
    )
    return found.result if found.fresh else None


def _may_turn_by_them(dense: "Analysis", metric: str) -> bool:
    if dense.without_massive or not massive.are_in(dense) or metric not in dense.entropies:
        return False
    return stages(dense, metric).two


def turns(dense: "Analysis", other: "Analysis | None", metric: str) -> bool:
    """Whether the curve may be said to turn: not where massive tokens make that, or might."""
    return not _may_turn_by_them(dense, metric) or massive.turns(dense, other, metric)


def sentence(
    shown: "job_view.Shown[Analysis]",
    other: "Analysis | None",
    pruned: "Analysis | None",
    metric: str,
    repaired: "Analysis | None" = None,
) -> str:
    """What the curves show. Plain text; empty where the analysis of the dense model does not hold the metric."""
    dense = shown.result
    if dense is None or metric not in dense.entropies:
        return ""
    if pruned is None:
        measuring = other is None and not job_view.is_stopped(OTHER_PLACE, shown.about)
        return massive.said(dense, other, metric, selection.KINDS, measuring=measuring)
    blocks = some([str(block) for block in pruned.drop], numbers.NAMED)
    may_turn = turns(dense, other, metric)
    said = f"Without {blocks}: {reading.pruned_sentence(dense, pruned, metric, turns=may_turn)}"
    if repaired is None:
        return said
    return f"{said} {reading.repaired_sentence(dense, repaired, metric)}"


def draw_measured_on(dense: "job_view.Shown[Analysis]") -> None:
    """What the curves are measured on."""
    found = dense.result
    if found is None:
        return
    on = provenance.on(found.model, dense.about[0].text_title, found.windows, found.window_length)
    left_out = escape(" ".join(found.left_out))
    st.caption(f"Curves and bars: {provenance.sentence(on, dense.fresh)} {left_out}".strip())
