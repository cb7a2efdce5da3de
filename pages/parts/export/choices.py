"""What to export and where to: the format with what stands in its way, the number type, the folder; and the cost."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.blocks import PruneSet
from entviz.errors import EntvizError
from entviz.export import FORMATS
from entviz.export.folder import exports_directory, place
from entviz.export.recipe import Measured, Recipe
from entviz.figures import costs
from entviz.runtime import runtime
from entviz.studies import Evaluate
from pages.parts.shared import cards, job_view, provenance, selection
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    from entviz.evaluation.loss import Evaluation

PLACE: Final = "export.evaluation"
DTYPES: Final = ("float32", "bfloat16", "float16")
SHOWN: Final = ("Perplexity", "KL from dense (nats)", "Parameters", "Weight memory")


@dataclass(frozen=True)
class ExportChoices:
    """What is chosen on the page. ``objection`` says why it cannot be had, or is None."""

    format: str
    dtype: str
    folder: str
    criterion: str
    replace: bool
    objection: str | None


def draw(chosen: selection.Selection, drop: str) -> ExportChoices:
    """Widgets for a choice."""
    name: str = st.radio(
        "Format",
        list(FORMATS),
        format_func=lambda each: FORMATS[each].title,
        captions=[form.purpose for form in FORMATS.values()],
        key="export.format",
        persist_state="session",
    )
    form, blocks = FORMATS[name], PruneSet.parse(drop)
    objection = form.objection(chosen.model, blocks)
    if objection is not None:
        st.warning(escape(objection), icon=":material/block:")
    else:
        for limit in form.limits(chosen.model, blocks):
            st.caption(f":material/info: {escape(limit)}")
    dtype = DTYPES[0]
    if form.weights is not None:
        dtype = st.segmented_control(
            "Weights",
            DTYPES,
            default=DTYPES[0],
            key="export.dtype",
            required=True,
            persist_state="session",
            help="What the weights are written in. float32 is exact; the others take half the space. The numbers in "
            "the model card are measured in the same type.",
        )
    suggestion = f"{_plain(chosen.model)}-{name}"
    folder = st.text_input(
        "Folder",
        key=f"export.folder.{suggestion}",
        placeholder=suggestion,
        max_chars=80,
        help="Pages write only into this server's export folder, which ENTVIZ_EXPORTS sets. The command `entviz "
        "export` writes anywhere.",
    ).strip()
    folder = folder or suggestion
    try:
        st.caption(f"Written on the machine that runs entviz: {escape(str(place(folder)))}")
    except EntvizError as error:
        objection = str(error)
        st.error(escape(objection), icon=":material/error:")
    criterion = st.text_input(
        "How the blocks were chosen",
        key="export.criterion",
        max_chars=200,
        placeholder="cosine, attention, budget 8",
        help="For the model card. Optional.",
        persist_state="session",
    )
    replace = st.toggle(
        "Replace an earlier export of this name",
        key="export.replace",
        help=f"Replaces only an earlier export, as a whole, and only in {exports_directory()}.",
    )
    return ExportChoices(name, dtype, folder, criterion, replace, objection)


def draw_cost(chosen: selection.Selection, drop: str, todo: str | None) -> "job_view.Shown[Evaluation]":
    """What the prune set costs, which goes into the model card."""
    st.subheader("Before and after", anchor=False)
    if todo:
        st.info(todo, icon=":material/edit_note:")
        shown: job_view.Shown[Evaluation] = job_view.last(PLACE)
    else:
        shown = job_view.show(
            lambda: runtime().ask(Evaluate(chosen.sample(), PruneSet.parse(drop)), job_view.session()),
            place=PLACE,
            label="Evaluating",
            about=(chosen, drop),
        )
    found = shown.result
    if found is None or not shown.fresh:
        if not todo and not shown.failed:
            st.skeleton(height=180)
        return shown
    on = provenance.on(chosen.model, chosen.text_title, found.windows, found.window_length)
    st.caption(f"{on}, {found.dtype}.")
    provenance.draw_notes(found.notes)
    with st.grid(2, min_column_width=200, gap="small", key="export.cards"):
        for card in costs.cards(found):
            if card.title in SHOWN:
                cards.draw(card)
    return shown


def recipe(chosen: selection.Selection, drop: str, found: "Evaluation | None") -> bytes:
    """The prune set as a recipe's file."""
    figures = None if found is None else Measured.of(found, chosen.text_title)
    return Recipe(PruneSet.parse(drop), model=chosen.model, measured=figures).to_bytes()


def _plain(model: str) -> str:
    """A model's name as part of a folder's."""
    last = model.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
    kept = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "._-") else "-" for sign in last)
    return kept.strip(".-_")[:60] or "model"
