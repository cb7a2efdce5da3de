"""Explore: entropy and cosine similarity across the depth of the chosen model, on the chosen text."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz import report
from entviz.figures import depth, reading, tables, theme
from pages.parts.shared import (
    analysis_view,
    bound_widgets,
    downloads,
    frame,
    provenance,
    report_button,
    selection,
)

if TYPE_CHECKING:
    from entviz.analysis import Analysis

PLACE: Final = "explore"
ABOUT: Final = {
    "bucket": "Each dimension's values are counted in 20 buckets of equal width; the entropies of the counts "
    "are added up over dimensions. Yang et al., 2025.",
    "knn": "From each token's distance to its 25th nearest token: the further apart tokens lie, the higher. "
    "Kozachenko and Leonenko, 1987.",
    "renyi": "Rényi entropy of order 4 from all pairwise distances between tokens, each dimension standardized. "
    "Yang et al., 2025.",
    "cosine": "1 − cosine similarity of a block's input and output, mean over tokens: how far the block turns "
    "what it gets. Men et al., 2024; He et al., 2024.",
}


def draw() -> None:
    frame.require()
    st.header("Entropy across depth", anchor=False)
    headline = st.container(gap="xsmall")
    metrics, kinds = _draw_choices()
    chosen = selection.current()
    shown = analysis_view.show(chosen, PLACE)
    if shown.result is None:
        if not shown.failed:
            _draw_waiting()
        return
    analysis = shown.result
    with headline:
        st.markdown(f"**{reading.headline(analysis, metrics)}**")
        on = provenance.on(analysis.model, shown.about.text_title, analysis.windows, analysis.window_length)
        st.caption(provenance.sentence(on, shown.fresh))
        provenance.draw_notes(analysis.notes)
    if not metrics or not kinds:
        st.info("Choose at least one estimator and one kind of block.", icon=":material/tune:")
        return
    full_scale = st.session_state.get("explore.full_scale", False)
    _draw_entropies(analysis, [name for name in metrics if name != reading.IMPORTANCE], kinds, full_scale)
    if reading.IMPORTANCE in metrics:
        _draw_importance(analysis, kinds, full_scale)
    _draw_numbers(analysis, shown.about, metrics, kinds)


def _draw_choices() -> tuple[tuple[str, ...], tuple[str, ...]]:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.pills(
            "Estimators",
            selection.METRICS,
            selection_mode="multi",
            format_func=theme.metric_title,
            **bound_widgets.choice(
                "metrics", "explore.metrics", _in_order(selection.METRICS), bound_widgets.default
            ),
        )
        st.pills(
            "Blocks",
            selection.KINDS,
            selection_mode="multi",
            format_func=theme.kind_title,
            **bound_widgets.choice(
                "level", "explore.level", _in_order(selection.KINDS), bound_widgets.default
            ),
        )
        st.toggle(
            "Full scale",
            key="explore.full_scale",
            persist_state="session",
            help="A few blocks change so much that the others would look flat. The bars' axis is then cut, and "
            "the long bars have their value written beside them. Turn this on to see their whole length.",
        )
    return selection.get("metrics"), selection.get("level")


def _in_order(names: Sequence[str]) -> Callable[[Sequence[str]], tuple[str, ...]]:
    return lambda picked: tuple(name for name in names if name in picked)


def _draw_entropies(
    analysis: "Analysis", metrics: Sequence[str], kinds: Sequence[str], full_scale: bool
) -> None:
    level = "layer" if tuple(kinds) == ("layer",) else None
    for start in range(0, len(metrics), 2):
        pair = metrics[start : start + 2]
        for column, metric in zip(st.columns(len(pair), gap="medium"), pair, strict=True):
            with column:
                said = reading.sentence(analysis, metric, kinds)
                st.subheader(f"{theme.metric_title(metric)} entropy", anchor=False, help=ABOUT[metric])
                st.markdown(said)
                st.plotly_chart(
                    depth.entropy_curve(analysis, metric, level=level),
                    key=f"explore.curve.{metric}",
                    config=theme.export_config(f"entviz-{metric}-entropy"),
                    alt=said,
                )
                st.plotly_chart(
                    depth.entropy_increase_bars(analysis, metric, kinds, cut=not full_scale),
                    key=f"explore.increase.{metric}",
                    config=theme.export_config(f"entviz-{metric}-increase"),
                    alt=f"Entropy increase of each block in nats, {theme.metric_title(metric)}",
                )


def _draw_importance(analysis: "Analysis", kinds: Sequence[str], full_scale: bool) -> None:
    title, switch = st.columns([3, 1], vertical_alignment="center")
    title.subheader("Importance", anchor=False, help=ABOUT["cosine"])
    similarity = switch.toggle("As similarity", key="explore.similarity", persist_state="session")
    said = reading.sentence(analysis, reading.IMPORTANCE, kinds)
    st.markdown(said)
    st.plotly_chart(
        depth.importance_bars(analysis, kinds, similarity=similarity, cut=not full_scale),
        key="explore.importance",
        config=theme.export_config("entviz-cosine-similarity" if similarity else "entviz-importance"),
        alt=said,
    )


def _draw_numbers(
    analysis: "Analysis", about: selection.Selection, metrics: Sequence[str], kinds: Sequence[str]
) -> None:
    sites = tables.site_table(analysis, metrics)
    blocks = tables.block_table(analysis, metrics, kinds)
    with st.container(horizontal=True, gap="small"):
        for name, label, table in (("sites", "Sites as CSV", sites), ("blocks", "Blocks as CSV", blocks)):
            downloads.draw_csv(label, table, f"entviz-{name}.csv", key=f"explore.csv.{name}")
        told = report.About(analysis.model, about.text, about.text_title, begin=about.begin)
        report_button.draw_button(
            lambda: report.of_analysis(analysis, told, metrics, kinds),
            report.file_name("analysis", analysis.model),
            key="explore.report",
        )
    with st.expander("The numbers", icon=":material/table:"):
        for tab, table in zip(st.tabs(["Blocks", "Sites"]), (blocks, sites), strict=True):
            tab.dataframe(table, hide_index=True, height=320)


def _draw_waiting() -> None:
    for column in st.columns(2, gap="medium"):
        column.skeleton(height=380)


draw()
