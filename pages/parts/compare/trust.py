"""The tab "Which to trust": each criterion's scores against what leaving each block out really costs."""

from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.comparison.trust.verdict import between, signed, verdict
from entviz.estimators import default_entropies, entropies, metric_of
from entviz.figures import theme
from entviz.figures import trust as drawn
from entviz.studies import JudgeCriteria
from entviz.words.metrics import metric_title
from entviz.words.phrases import duration
from pages.parts.compare import block_damage
from pages.parts.compare.block_damage import DamageRequest
from pages.parts.shared import downloads, job_view, metric_options, provenance, selection
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    from entviz.comparison.trust.trust import Trust

PLACE: Final = "compare.trust"
COLUMNS: Final = 3


def draw() -> None:
    """The whole tab."""
    st.markdown(
        "A criterion scores a block without trying it. Here every block is really left out, alone, and the loss says "
        "what that cost. **A criterion to trust orders the blocks as their damage does**: its rank correlation is "
        "near 1. Near 0 it might as well be a guess."
    )
    chosen = selection.current()
    estimators = _draw_estimators()
    level, damage, scope, as_ranks = _draw_choices()
    if estimators:
        shown = block_damage.show(
            PLACE,
            DamageRequest(chosen, level, estimators),
            JudgeCriteria(chosen.sample(), level, estimators),
            label="Leaving out every block",
            start="Measure the damage",
            estimate=lambda plan: (
                f"{plan.blocks} blocks, each left out once: {duration(plan.seconds_alone)} here."
            ),
        )
    else:
        st.info("Choose at least one entropy.", icon=":material/tune:")
        shown = job_view.last(PLACE)
    if shown.result is not None:
        _draw_result(shown.result, shown.about, shown.fresh, damage, scope, as_ranks)


def _draw_estimators() -> tuple[str, ...]:
    """The picker of the entropies to judge, with their options. Returns specs."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        picked = st.pills(
            "Entropies",
            entropies(),
            default=default_entropies(),
            selection_mode="multi",
            format_func=lambda name: metric_title(selection.spec(name)),
            key="trust.estimators",
            persist_state="session",
            help="EntroDrop is judged with each of them.\n\n" + "\n".join(map(_described, entropies())),
        )
        with st.popover("Advanced", icon=":material/tune:"):
            st.caption("Options of the entropies, wherever the pages measure with them.")
            for name in entropies():
                metric_options.draw(name, "trust")
    return tuple(selection.spec(name) for name in entropies() if name in picked)


def _described(name: str) -> str:
    found = metric_of(selection.spec(name))
    return f"- **{found.titled()}**: {found.description}"


def _draw_choices() -> tuple[str, str, str, bool]:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        level = block_damage.draw_level("trust")
        damage = block_damage.draw_damage("trust")
        inner = st.toggle(
            "Inner blocks only",
            key="trust.inner",
            persist_state="session",
            help="Leaves out the blocks of the first two layers and the last. EntroDrop never drops them, and their "
            "damage is often so large that any criterion sees it.",
        )
        values = st.toggle(
            "Values",
            key="trust.values",
            persist_state="session",
            help="Shows scores and damage themselves instead of their ranks.",
        )
    return level, damage, "inner" if inner else "all", not values


def _draw_result(
    found: "Trust", about: DamageRequest, fresh: bool, damage: str, scope: str, as_ranks: bool
) -> None:
    said = verdict(found, scope, damage)
    st.markdown(f"**{escape(said[0])}** {' '.join(map(escape, said[1:]))}")
    alone = (
        " One window does not show how scores vary along the text: take more." if found.windows == 1 else ""
    )
    st.caption(block_damage.measured_on(found, about, fresh) + alone)
    provenance.draw_notes(found.notes)
    rows = drawn.chosen(found, scope, damage)
    if not rows["spearman"].isna().all():
        st.plotly_chart(
            drawn.correlation_chart(found, scope, damage),
            key="trust.correlations",
            config=theme.export_config(f"entviz-trust-{found.level}"),
            alt=said[0],
        )
        st.caption(
            "Bars are 95% intervals, for more text like this one and other blocks like these. A bar that covers 0 may "
            "be chance. Differences between two criteria are judged on the same resamples, so bars that overlap can "
            "still differ."
        )
        _draw_scatters(found, list(rows["criterion"]), damage, scope, as_ranks)
    _draw_files(found)


def _draw_scatters(found: "Trust", criteria: list[str], damage: str, scope: str, as_ranks: bool) -> None:
    st.subheader("Block by block", anchor=False)
    if as_ranks:
        st.caption(
            "Each dot is a block; rank 1 is dropped first. On the dashed line, score and damage agree; below it, the "
            "damage is overrated."
        )
    rows = drawn.chosen(found, scope, damage).set_index("criterion")
    for start in range(0, len(criteria), COLUMNS):
        for column, criterion in zip(st.columns(COLUMNS, gap="medium"), criteria[start:], strict=False):
            row = rows.loc[criterion]
            said = f"{drawn.title(criterion)}: {signed(row['spearman'])} {between(row['low'], row['high'])}"
            with column:
                st.markdown(f"**{escape(said)}**")
                st.plotly_chart(
                    drawn.scatter(found, criterion, scope, damage, as_ranks=as_ranks),
                    key=f"trust.scatter.{criterion}",
                    config=theme.export_config(f"entviz-trust-{found.level}-{criterion}"),
                    alt=f"Rank correlation of {said}",
                )


def _draw_files(found: "Trust") -> None:
    with st.container(horizontal=True, gap="small"):
        for name, label, table in (
            ("blocks", "Blocks as CSV", drawn.block_table(found)),
            ("correlations", "Correlations as CSV", found.correlations),
            ("differences", "Differences as CSV", found.differences),
        ):
            downloads.draw_csv(label, table, f"entviz-trust-{name}.csv", key=f"trust.csv.{name}")
