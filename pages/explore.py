"""Explore: entropy and cosine similarity across the depth of the chosen model, on the chosen text."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import streamlit as st

from entviz import report
from entviz.estimators import METRICS, metric_of
from entviz.figures import depth, massive, tables, theme
from entviz.words.levels import kind_title
from entviz.words.metrics import complement_title, metric_title
from pages.parts.explore import massive as without_massive
from pages.parts.explore import suggestion
from pages.parts.shared import (
    analysis_view,
    bound_widgets,
    downloads,
    frame,
    massive_tokens,
    metric_options,
    provenance,
    report_button,
    selection,
)

PLACE: Final = "explore"
STYLE: Final = Path(__file__).parent / "parts" / "explore" / "page.css"


def draw() -> None:
    frame.require()
    st.html(STYLE)
    st.header("Entropy across depth", anchor=False)
    headline = st.container(gap="xsmall")
    names, kinds = _draw_choices()
    chosen = selection.current()
    specs = selection.measured(*names)
    shown = analysis_view.show(chosen, PLACE, specs)
    if shown.result is None:
        if not shown.failed:
            _draw_waiting()
        return
    # Until what was just picked is measured, the rest is shown.
    metrics = [spec for spec in map(selection.spec, names) if spec in shown.result.metrics]
    both = without_massive.measure(
        chosen, shown, specs, entropies=any(spec in shown.result.entropies for spec in metrics)
    )
    analysis = both.shown
    metrics = [spec for spec in metrics if spec in analysis.metrics]
    with headline:
        said = massive.headline(both.analysis, both.without, metrics, measuring=both.measuring)
        st.markdown(f"**{said}**")
        on = provenance.on(analysis.model, shown.about.text_title, analysis.windows, analysis.window_length)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            if shown.fresh:
                suggestion.draw(both.analysis)
            st.caption(provenance.sentence(on, shown.fresh))
        provenance.draw_notes(analysis.notes)
    if not names or not kinds:
        st.info("Choose at least one estimator and one kind of block.", icon=":material/tune:")
        return
    without_massive.draw_changes(both, metrics)
    full_scale = st.session_state.get("explore.full_scale", False)
    _draw_entropies(both, [metric for metric in metrics if metric in analysis.entropies], kinds, full_scale)
    for metric in metrics:
        if metric not in analysis.entropies:
            _draw_importance(both, metric, kinds, full_scale)
    _draw_numbers(both, shown.about, metrics, kinds)


def _draw_choices() -> tuple[tuple[str, ...], tuple[str, ...]]:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.pills(
            "Estimators",
            list(METRICS),
            selection_mode="multi",
            format_func=lambda name: metric_title(selection.spec(name)),
            help="\n".join(map(_described, METRICS)),
            **bound_widgets.choice(
                "metrics", "explore.metrics", _sorted_as(list(METRICS)), bound_widgets.default
            ),
        )
        st.pills(
            "Blocks",
            selection.KINDS,
            selection_mode="multi",
            format_func=kind_title,
            **bound_widgets.choice(
                "level", "explore.level", _sorted_as(selection.KINDS), bound_widgets.default
            ),
        )
        massive_tokens.draw_switch("explore.massive.switch")
        with st.popover("Advanced", icon=":material/tune:"):
            st.toggle(
                "Full scale",
                key="explore.full_scale",
                persist_state="session",
                help="A few blocks change so much that the others would look flat. The bars' axis is then cut, and "
                "the long bars have their value written beside them. Turn this on to see their whole length.",
            )
            st.caption("Options of the estimators, wherever the pages measure with them.")
            for name in METRICS:
                metric_options.draw(name, "explore")
    return selection.get("metrics"), selection.get("level")


def _described(name: str) -> str:
    found = metric_of(selection.spec(name))
    slow = f" Measured once it is picked: {found.optional}." if found.optional else ""
    return f"- **{found.titled()}**: {found.description}{slow}"


def _sorted_as(names: Sequence[str]) -> Callable[[Sequence[str]], tuple[str, ...]]:
    return lambda picked: tuple(name for name in names if name in picked)


def _draw_entropies(
    both: without_massive.Both, metrics: Sequence[str], kinds: Sequence[str], full_scale: bool
) -> None:
    level = "layer" if tuple(kinds) == ("layer",) else None
    for start in range(0, len(metrics), 2):
        pair = metrics[start : start + 2]
        for column, metric in zip(st.columns(len(pair), gap="medium"), pair, strict=True):
            with column:
                said = massive.said(both.shown, both.other, metric, kinds, measuring=both.measuring)
                title = metric_title(metric, "entropy")
                with st.container(gap=None):
                    st.subheader(title, anchor=False, help=metric_of(metric).description)
                    st.markdown(said)
                st.plotly_chart(
                    massive.curve(both.shown, both.other, metric, level=level),
                    key=f"explore.curve.{metric}",
                    config=theme.export_config(f"entviz-{metric}-entropy"),
                    alt=said,
                )
                st.plotly_chart(
                    depth.entropy_increase_bars(both.shown, metric, kinds, cut=not full_scale),
                    key=f"explore.increase.{metric}",
                    config=theme.export_config(f"entviz-{metric}-increase"),
                    alt=f"{metric_title(metric, 'entropy')} increase of each block in nats",
                )


def _draw_importance(both: without_massive.Both, metric: str, kinds: Sequence[str], full_scale: bool) -> None:
    title, switch = st.columns([3, 1], vertical_alignment="center")
    title.subheader("Importance", anchor=False, help=metric_of(metric).description)
    complement = complement_title(metric)
    similarity = bool(complement) and switch.toggle(
        f"As {complement.rpartition(' ')[2]}", key="explore.similarity", persist_state="session"
    )
    said = massive.said(both.shown, both.other, metric, kinds, measuring=both.measuring)
    st.markdown(said)
    shown = complement.lower().replace(" ", "-") if similarity else "importance"
    st.plotly_chart(
        depth.importance_bars(both.shown, metric, kinds, complement=similarity, cut=not full_scale),
        key="explore.importance",
        config=theme.export_config(f"entviz-{shown}"),
        alt=said,
    )


def _draw_numbers(
    both: without_massive.Both, about: selection.Selection, metrics: Sequence[str], kinds: Sequence[str]
) -> None:
    analysis = both.shown
    sites = tables.site_table(analysis, metrics)
    blocks = tables.block_table(analysis, metrics, kinds)
    with st.container(horizontal=True, gap="small"):
        for name, label, table in (("sites", "Sites as CSV", sites), ("blocks", "Blocks as CSV", blocks)):
            downloads.draw_csv(label, table, f"entviz-{name}.csv", key=f"explore.csv.{name}")
        told = report.About(analysis.model, about.text, about.text_title, begin=about.begin)
        report_button.draw_button(
            lambda: report.of_analysis(analysis, told, metrics, kinds, both.other),
            report.file_name("analysis", analysis.model),
            key="explore.report",
        )
    with st.expander("The numbers", icon=":material/table:"):
        named = ["Massive tokens"] if massive.are_in(analysis) else []
        tabs = st.tabs(["Blocks", "Sites", *named])
        for tab, table in zip(tabs, (blocks, sites), strict=False):
            tab.dataframe(table, hide_index=True, height=320)
        for tab in tabs[2:]:
            with tab:
                without_massive.draw_tokens(analysis)


def _draw_waiting() -> None:
    for column in st.columns(2, gap="medium"):
        column.skeleton(height=380)


draw()
