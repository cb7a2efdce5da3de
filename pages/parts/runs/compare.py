"""Several runs side by side: their numbers, analyses' curves over one another, evaluations with differences."""

from string import ascii_uppercase
from typing import TYPE_CHECKING

import streamlit as st

from entviz.estimators import is_entropy
from entviz.figures import overlay, theme
from entviz.runtime import runtime
from entviz.store import Run
from entviz.studies.listing import NUMBERS, dropped, listing
from entviz.studies.registry import title_of
from entviz.words.metrics import metric_title
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.evaluation.loss import Evaluation


def draw(chosen: list[Run]) -> None:
    st.subheader("Side by side", anchor=False)
    if len(chosen) > overlay.MOST:
        st.info(f"Only the first {overlay.MOST} are compared.", icon=":material/info:")
    named = dict(zip(ascii_uppercase, chosen[: overlay.MOST], strict=False))
    for name, run in named.items():
        drop = f", without {escape(dropped(run))}" if dropped(run) else ""
        kind = title_of(run.kind)
        st.markdown(f"**{name}** {kind}: {escape(run.model)} on {escape(run.description)}{drop}")
    if len({(run.model, run.description, runtime().store.text(run.key)) for run in named.values()}) > 1:
        st.caption(
            "These were not measured on the same model, text and windows. An entropy depends on the window length, "
            "and a perplexity on the text."
        )
    kinds = {run.kind for run in named.values()}
    results = {name: runtime().store.get(run.key) for name, run in named.items()}
    results = {name: result for name, result in results.items() if result is not None}
    if len(results) < len(named):
        st.warning(
            "Some of these cannot be read: they were deleted meanwhile, are damaged, or are of another version. "
            "Press Refresh.",
            icon=":material/delete:",
        )
    if kinds == {"analysis"} and results:
        _draw_analyses(results)
    elif kinds == {"evaluation"} and results:
        _draw_evaluations(results)
    else:
        table = listing(named.values()).drop(columns=["when", *NUMBERS]).astype(str).replace("<NA>", "")
        st.table(table.set_axis(list(named)).T.map(escape))


def _draw_analyses(results: "dict[str, Analysis]") -> None:
    metrics = overlay.shared_metrics(results)
    if not metrics:
        st.info("These analyses have no estimator in common.", icon=":material/info:")
        return
    metric = st.segmented_control(
        "Estimator",
        metrics,
        default=metrics[0],
        required=True,
        format_func=metric_title,
        key="runs.metric",
    )
    title = metric_title(metric, "entropy" if is_entropy(metric) else "importance of each layer")
    st.plotly_chart(
        overlay.curves(results, metric),
        key="runs.curves",
        config=theme.export_config("entviz-runs"),
        alt=f"{title} across depth, one line a run",
    )


def _draw_evaluations(results: "dict[str, Evaluation]") -> None:
    table = overlay.evaluations(results)
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            name: st.column_config.NumberColumn(format="%.5g") for name in table if name != "measure"
        },
    )
