"""Your way there: the prune sets of this visit as points of a chart, to go back to and to set side by side."""

from typing import TYPE_CHECKING, Any, Final, cast

import pandas as pd
import streamlit as st

from entviz.comparison.trail import Stop, Trail, difference
from entviz.figures import theme
from entviz.figures import trail as drawn
from entviz.runtime import runtime
from entviz.studies import Evaluate, EvaluateRepaired
from entviz.words.phrases import counted, of_windows, some
from pages.parts.prune import numbers, ticks
from pages.parts.shared import downloads, job_view, provenance, repairs
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    from entviz.comparison.grid.result import Comparison
    from entviz.evaluation.loss import Evaluation
    from pages.parts.prune import repair
    from pages.parts.shared import selection

PLACE: Final = "prune.trail"  # in the session's state
_RETURNS: Final = "prune.trail.returns"  # how often a point was clicked: the chart forgets what was selected
_NAMED: Final = 4  # blocks of a prune set in a picker
_SIDES: Final = ("A", "B")


def draw(shown: "job_view.Shown[Evaluation]", repaired: "repair.Repaired | None" = None) -> None:
    """The chart, once there are two prune sets to see, and what can be done with its points."""
    trail = _noted(shown, repaired)
    if shown.about is None or trail.now is None:
        return
    asked: numbers.EvaluationRequest = shown.about
    basis = trail.now.basis
    here = trail.of(basis)
    st.subheader("Your way there", anchor=False)
    if len(here.stops) < 2:
        st.caption(
            "Every prune set that you try becomes a point here, with its perplexity and the parameters it keeps: drop "
            "another block." + _elsewhere(trail, here)
        )
        return
    quality = st.segmented_control(
        "Quality",
        drawn.QUALITIES,
        format_func={"perplexity": "Perplexity", "kl": "KL from dense"}.__getitem__,
        default=drawn.QUALITIES[0],
        required=True,
        key="prune.trail.quality",
        persist_state="session",
        label_visibility="collapsed",
    )
    table, pinned = here.table(basis), _pinned(here)
    comparison = _comparison(asked.selection)
    key = f"{PLACE}.chart.{st.session_state.get(_RETURNS, 0)}"
    st.container(key="prune.way").plotly_chart(
        drawn.trail_chart(
            table, quality or drawn.QUALITIES[0], here.steps, pinned=pinned, comparison=comparison
        ),
        key=key,
        config=theme.export_config("entviz-trail"),
        on_select=lambda: _go_back(key),
        selection_mode="points",
        alt=f"{counted(len(table), 'prune set')} tried: quality against the share of the parameters kept. The pickers "
        "below hold the same prune sets, and the CSV file their numbers.",
    )
    st.caption(_measured_on(asked, basis, comparison) + _elsewhere(trail, here))
    _draw_pins(asked, here, pinned)
    downloads.draw_csv("Your way as CSV", _file(trail), "entviz-trail.csv", key="prune.trail.csv")


def _noted(shown: "job_view.Shown[Evaluation]", repaired: "repair.Repaired | None") -> Trail:
    """The trail, with the prune set in view as soon as all of its windows are measured; then with its repair."""
    trail: Trail = st.session_state.get(PLACE, Trail())
    found = shown.result
    if not shown.fresh or found is None or found.windows < found.windows_total:
        return trail
    basis = (shown.about.selection, found.dtype)
    plain = Stop.of(found, basis)
    further = trail
    if repaired is None or trail.known(plain) is None:
        further = trail.visited(plain)
    if repaired is not None:
        chosen = repaired.about.repair
        further = further.visited(
            Stop.of(repaired.view, basis, repair=chosen.choice.title, repaired_by=chosen.made_by)
        )
    if further is not trail:
        st.session_state[PLACE] = trail = further
    return trail


def _go_back(key: str) -> None:
    """Make the prune set of the clicked point the one in view."""
    points = st.session_state[key]["selection"]["points"]
    number = next((_number(point) for point in points if _number(point)), 0)
    trail: Trail = st.session_state.get(PLACE, Trail())
    stop = trail.find(number)
    if stop is not None and (trail.now is None or stop.basis == trail.now.basis):
        st.session_state[_RETURNS] = st.session_state.get(_RETURNS, 0) + 1
        made_by: Any = stop.repaired_by
        # Dense, every repair is as good as none: it stays chosen for what is dropped next.
        ticks.put(stop.drop, **(dict(made_by or {"repair": ""}) if stop.drop else {}))


def _number(point: dict[str, Any]) -> int:
    """The number of a point of the prune sets that were tried; 0 for a point of a criterion's curve."""
    data = point.get("customdata")
    return int(data[0]) if isinstance(data, list) and data and isinstance(data[0], int | float) else 0


def _pinned(here: Trail) -> dict[str, int]:
    """The numbers of the stops that are pinned as A and as B, as far as they are among these."""
    numbers_here = {stop.number for stop in here.stops}
    found = {side: st.session_state.get(f"{PLACE}.pin.{side}") for side in _SIDES}
    return {side: number for side, number in found.items() if number in numbers_here}


def _draw_pins(asked: "numbers.EvaluationRequest", here: Trail, pinned: dict[str, int]) -> None:
    """Two pickers of prune sets, and how the two differ."""
    titles = {stop.number: _title(stop) for stop in here.stops}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        for side in _SIDES:
            key = f"{PLACE}.pin.{side}"
            # Set only if it must be: what a run sets reaches the browser after a pick that was made meanwhile.
            if st.session_state.get(key) not in (None, *titles):
                st.session_state[key] = None
            st.selectbox(
                f"Pin {side}",
                list(titles),
                format_func=titles.__getitem__,
                key=key,
                index=None,
                placeholder="a prune set",
                persist_state="session",
                width=320,
                help="Two pinned prune sets are compared token by token.",
            )
    if len(pinned) < len(_SIDES) or len(set(pinned.values())) < len(_SIDES):
        return
    found = [_evaluation(asked, here.find(pinned[side]), side) for side in _SIDES]
    if found[0] is None or found[1] is None:
        return
    st.markdown("\n".join(f"- {escape(sentence)}" for sentence in drawn.said(difference(found[0], found[1]))))


def _evaluation(asked: "numbers.EvaluationRequest", stop: Stop | None, side: str) -> "Evaluation | None":
    """The evaluation of a stop, which is stored, or else measured again."""
    if stop is None:
        return None
    study = Evaluate(asked.selection.sample(), stop.drop, asked.dtype)
    if stop.repaired_by is not None:
        choice = repairs.made_by(asked.selection, cast("repairs.Choices", stop.repaired_by)).choice
        study = EvaluateRepaired(asked.selection.sample(), stop.drop, asked.dtype, repair=choice)
    shown: job_view.Shown[Evaluation] = job_view.show(
        lambda: runtime().ask(study, job_view.session(), slot=None),
        place=f"{PLACE}.{side}",
        label=f"Measuring {side} again",
        about=(asked.selection, asked.dtype, str(stop.drop), stop.repaired_by),
    )
    return shown.result if shown.fresh else None


def _title(stop: Stop) -> str:
    blocks = [str(block) for block in stop.drop]
    mended = f", repaired: {stop.repair}" if stop.repair else ""
    return f"{stop.number}: {f'without {some(blocks, _NAMED)}' if blocks else 'dense'}{mended}"


def _comparison(chosen: "selection.Selection") -> "Comparison | None":
    """The newest comparison of criteria on this model and text, whose curves stand behind the points."""
    found = runtime().earlier_comparison(chosen.sample())
    return None if found is None else found[1]


def _measured_on(asked: "numbers.EvaluationRequest", basis: Any, comparison: "Comparison | None") -> str:
    chosen = asked.selection
    on = provenance.on(chosen.model, chosen.text_title, chosen.windows, chosen.window_length)
    said = f"Measured on {on}, {basis[1]}. Click a point to go back to its prune set."
    if comparison is None:
        return f"{said} Compare criteria on this text, and their curves stand behind the points."
    windows = of_windows(comparison.windows, comparison.window_length)
    return (
        f"{said} The lines are the criteria of your comparison, measured on {windows} of other text: their "
        "perplexities are shown as multiples of the dense model's there, times the dense model's here."
    )


def _elsewhere(trail: Trail, here: Trail) -> str:
    count = len(trail.stops) - len(here.stops)
    if not count:
        return ""
    return f" {counted(count, 'prune set')} of another model, text or number type not shown."


def _file(trail: Trail) -> pd.DataFrame:
    """Every stop of the visit, whatever it was measured on."""
    tables = []
    for basis in dict.fromkeys(stop.basis for stop in trail.stops):
        chosen, dtype = cast("tuple[selection.Selection, str]", basis)
        about = {
            "model": chosen.model,
            "text": chosen.text_title,
            "windows": chosen.windows,
            "window_length": chosen.window_length,
            "dtype": dtype,
        }
        tables.append(trail.table(basis).assign(**about))
    return pd.concat(tables, ignore_index=True).sort_values("number", ignore_index=True)
