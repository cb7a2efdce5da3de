"""What to export and where to: the format with what stands in its way, the number type, the folder; and the cost."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from entviz.blocks import PruneSet
from entviz.errors import EntvizError
from entviz.export import FORMATS
from entviz.export.folder import exports_directory, place
from entviz.export.recipe import Measured, Recipe, Repaired
from entviz.figures import costs
from entviz.figures import repairs as said
from entviz.runtime import runtime
from entviz.studies import Evaluate, EvaluateRepaired
from pages.parts.shared import cards, job_view, provenance, repairs, selection
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    from entviz.evaluation.loss import Evaluation
    from entviz.evaluation.repaired import RepairedEvaluation
    from entviz.export.request import Format

PLACE: Final = "export.evaluation"
REPAIR_PLACE: Final = "export.repaired"
DTYPES: Final = ("float32", "bfloat16", "float16")
SHOWN: Final = ("Perplexity", "KL from dense (nats)", "Parameters", "Weight memory")


@dataclass(frozen=True)
class ExportChoices:
    """What is chosen on the page. ``objection`` says why it cannot be had, or is None.

    ``repair`` is the one that was chosen on Prune, where the format can hold it and it is wanted.
    """

    format: str
    dtype: str
    folder: str
    criterion: str
    replace: bool
    objection: str | None
    repair: repairs.ChosenRepair | None = None


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
    repair = _draw_repair(chosen, form)
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
    return ExportChoices(name, dtype, folder, criterion, replace, objection, repair)


def _draw_repair(chosen: selection.Selection, form: "Format") -> repairs.ChosenRepair | None:
    """Whether the repair that is chosen on Prune is written too; None where none is, or where it is not."""
    repair = repairs.chosen(chosen)
    if repair is None:
        return None
    if form.no_repair:
        st.caption(f":material/info: {form.no_repair} Here the prune set is written without its repair.")
        return None
    wanted = st.toggle(
        f"With its repair: {repair.choice.title}",
        True,
        key="export.repair",
        persist_state="session",
        help=f"The repair that is chosen on Prune. It is fitted on {escape(repair.fitted_on)}. What the files can hold "
        "of it is said once they are written.",
    )
    return repair if wanted else None


def draw_repaired(
    chosen: selection.Selection, drop: str, choice: ExportChoices
) -> "RepairedEvaluation | None":
    """What the prune set costs with the repair that is written, as far as that is measured."""
    if choice.repair is None:
        return None
    repair = choice.repair.choice
    study = EvaluateRepaired(chosen.sample(), PruneSet.parse(drop), repair=repair)
    shown: job_view.Shown[Any] = job_view.show(
        lambda: runtime().ask(study, job_view.session()),
        place=REPAIR_PLACE,
        label=f"Repair: {repair.title}",
        about=(chosen, drop, repair),
    )
    found: RepairedEvaluation | None = shown.result
    if found is None or not shown.fresh:
        return None
    measured = [(chosen.text_title, found)]
    st.markdown(f"**{escape(said.headline(measured).text)}** {escape(said.perplexities(measured))}")
    st.caption(
        f"{escape(repair.title)}, fitted on {found.calibration_tokens:,} tokens of other text: "
        f"{escape(choice.repair.fitted_on)}."
    )
    return found


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


def recipe(
    chosen: selection.Selection,
    drop: str,
    found: "Evaluation | None",
    repair: repairs.ChosenRepair | None,
    repaired: "RepairedEvaluation | None",
) -> bytes:
    """The prune set as a recipe's file, with its repair once that is fitted."""
    made_by = None
    if repair is not None and repaired is not None:
        found, made_by = repaired, Repaired.by(repair.choice, repaired.calibration_tokens)
    figures = None if found is None else Measured.of(found, chosen.text_title)
    return Recipe(PruneSet.parse(drop), model=chosen.model, measured=figures, repair=made_by).to_bytes()


def _plain(model: str) -> str:
    """A model's name as part of a folder's."""
    last = model.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
    kept = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "._-") else "-" for sign in last)
    return kept.strip(".-_")[:60] or "model"
