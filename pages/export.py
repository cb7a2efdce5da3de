"""Export: export the pruned model, as a checkpoint or as a few lines for another program."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.blocks import PruneSet
from entviz.export import FORMATS
from entviz.export.folder import place
from entviz.runtime import runtime
from entviz.studies import Export
from pages.parts.export import choices, result
from pages.parts.shared import address, frame, job_view, selection
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    from entviz.evaluation.loss import Evaluation
    from entviz.export import Exported
    from entviz.runtime.queue import Job

PLACE: Final = "export"
JOB: Final = "export.job"  # in the session's state, as is the next
CLICKED: Final = "export.clicked"


@dataclass
class AskedExport:
    """The export that was asked for last: which one it was in this session, and its job once it is begun."""

    number: int
    wanted: Export
    job: "Job[Exported] | None" = None


def draw() -> None:
    frame.require()
    st.header("Export the pruned model", anchor=False)
    chosen, drop = selection.current(), selection.get("drop")
    todo = selection.missing(chosen)
    if not drop:
        _draw_empty()
        return
    st.markdown(f"**Prune set:** {escape(drop.replace(',', ', '))}")
    with st.container(horizontal=True, gap="medium"):
        st.page_link(
            "pages/prune.py",
            label="Change it on Prune",
            icon=":material/content_cut:",
            query_params=address.parameters(),
        )
    left, right = st.columns([5, 4], gap="large")
    with left:
        choice = choices.draw(chosen, drop)
    with right:
        evaluated = choices.draw_cost(chosen, drop, todo)
        repaired = None if todo else choices.draw_repaired(chosen, drop, choice)
    with left:
        st.button(
            "Write it",
            key="export.write",
            type="primary",
            icon=":material/save:",
            disabled=bool(todo or choice.objection),
            # Noted rather than acted on: the choice is known when the page has been drawn, and a job that ends
            # meanwhile starts the run over before the button is reached.
            on_click=lambda: st.session_state.update({CLICKED: True}),
        )
    if st.session_state.get(CLICKED):
        if not (todo or choice.objection):
            wanted = Export(
                chosen.sample(),
                PruneSet.parse(drop),
                choice.format,
                place(choice.folder),
                chosen.text_title,
                choice.criterion,
                choice.dtype,
                choice.replace,
                repair=None if choice.repair is None else choice.repair.choice,
            )
            _ask(wanted)
        # Last: where a newer click stops this run before, the next one asks again, and the job is not begun yet.
        st.session_state[CLICKED] = False
    _draw_job()
    _draw_recipe(choices.recipe(chosen, drop, _fresh(evaluated), choice.repair, repaired))


def _draw_empty() -> None:
    st.info(
        "Nothing is dropped, so there is no pruned model to export. Tick blocks on the Prune page first, or open a "
        "recipe there.",
        icon=":material/content_cut:",
    )
    st.page_link(
        "pages/prune.py",
        label="Choose blocks on Prune",
        icon=":material/content_cut:",
        query_params=address.parameters(),
    )
    st.subheader("What you can take away", anchor=False)
    st.markdown("\n".join(f"- **{each.title}**: {each.purpose}" for each in FORMATS.values()))


def _ask(wanted: Export) -> None:
    before: AskedExport | None = st.session_state.get(JOB)
    st.session_state[JOB] = AskedExport(before.number + 1 if before is not None else 0, wanted)


def _draw_job() -> None:
    asked: AskedExport | None = st.session_state.get(JOB)
    if asked is None:
        return
    st.divider()
    shown: job_view.Shown[Exported] = job_view.show(
        lambda: _job(asked), place=PLACE, label="Measuring and writing", about=(asked.number, asked.wanted)
    )
    if shown.result is not None:
        result.draw(shown.result, earlier=not shown.fresh)


def _job(asked: AskedExport) -> "Job[Exported]":
    """The export asked for, which is started once, and again only where the person had stopped it."""
    if asked.job is None or asked.job.state == "cancelled":
        asked.job = runtime().ask(asked.wanted, job_view.session())
    return asked.job


def _fresh(evaluated: "job_view.Shown[Evaluation]") -> "Evaluation | None":
    return evaluated.result if evaluated.fresh else None


def _draw_recipe(content: bytes) -> None:
    st.divider()
    st.caption("The prune set alone, with the numbers above, for `--drop @recipe.json` and the Prune page:")
    st.download_button(
        "Download the recipe",
        content,
        file_name="recipe.json",
        mime="application/json",
        icon=":material/download:",
        on_click="ignore",
        key="export.recipe",
    )


draw()
