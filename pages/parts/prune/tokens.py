"""Where in the text it hurts: the tokens coloured by how much worse they got, and the loss at each position."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.figures import costs, repairs, theme, tokens
from entviz.figures import token_damages as drawn
from entviz.runtime import runtime
from pages.parts.prune import numbers, token_damage
from pages.parts.shared import job_view
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    import pandas as pd

    from entviz.comparison.damages.token_damages import TokenDamages
    from entviz.evaluation.loss import Evaluation
    from pages.parts.prune import repair

DRAWN: Final = 1024  # tokens at a time; more would make the page slow
DIFFERENCE: Final = "Difference"
VIEWS: Final = (DIFFERENCE, "Both models")
REPAIRED: Final = ("dense", "repaired")  # the model that is compared with, and the one that is


def draw(shown: "job_view.Shown[Evaluation]", repaired: "repair.Repaired | None" = None) -> None:
    """The text and the chart of the newest evaluation there is, and the files to download.

    Where the prune set is repaired, they are of the repaired model; what each dropped block costs is without it.
    """
    if shown.result is None:
        return
    plain, asked = shown.result, shown.about
    evaluation = plain if repaired is None else repaired.view
    names = tokens.NAMES if repaired is None else REPAIRED
    st.subheader(
        "Where it hurts", anchor=False, help="Loss is −log p of a token given those before it, in nats."
    )
    earlier = "" if shown.fresh else "This is the earlier result. "
    mended = "" if repaired is None else f", {repaired.named}"
    st.caption(
        f"{earlier}{numbers.named(asked.drop)}{mended}, measured on {numbers.measured_on(evaluation, asked)}."
    )
    spelled = job_view.show(
        lambda: runtime().spell(asked.selection.model, evaluation.token_ids.tolist(), job_view.session()),
        place="prune.spelling",
        label="Writing out the tokens",
        about=(asked.selection.model, evaluation.token_ids.tobytes()),
    )
    # Never another text's words under these numbers.
    if spelled.result is None or spelled.about != (asked.selection.model, evaluation.token_ids.tobytes()):
        return
    pieces = spelled.result
    whole = job_view.once(
        "prune.tokens", (evaluation, plain), lambda: _Whole.of(evaluation, pieces, plain, names)
    )
    part = _draw_part_picker(evaluation)
    found = token_damage.measure(shown)
    block = token_damage.draw_picker(found)
    if repaired is not None and found is not None:
        st.caption("What each dropped block costs is measured without the repair.")
    view_of = job_view.once(
        "prune.by_block", (evaluation, found, block), lambda: _View.of(whole, found, block)
    )
    if evaluation.drop:
        st.html(tokens.legend(view_of.strongest))
    if block is not None and found is not None:
        st.markdown(escape(drawn.worst_sentence(found, block, pieces)))
    with st.container(height=320, key="prune.text_box"):
        html = job_view.once(
            "prune.text",
            (evaluation, part, found, block),
            lambda: tokens.marked_text(view_of.rows[part], view_of.strongest, view_of.names),
        )
        links = job_view.once(
            "prune.links",
            (evaluation, part, found),
            lambda: None if found is None else drawn.links(found, pieces, view_of.rows["window"][part]),
        )
        token_damage.draw_text(html, asked, links)
    token_damage.draw_token(found, pieces, asked)
    view = VIEWS[1]
    if evaluation.drop:  # else there is no difference to see
        view = st.segmented_control(
            "Loss at each token position",
            VIEWS,
            default=VIEWS[0],
            required=True,
            key="prune.loss_view",
            persist_state="session",
        )
    st.plotly_chart(
        job_view.once(
            "prune.loss",
            (evaluation, part, view, found, block),
            lambda: tokens.loss_chart(view_of.rows[part], difference=view == DIFFERENCE, names=view_of.names),
        ),
        key="prune.loss",
        config=theme.export_config("entviz-token-loss"),
        alt="Loss at each token position. The tokens as CSV hold the same numbers.",
    )
    _draw_files(whole)


@dataclass(frozen=True, eq=False)
class _Whole:
    """All tokens of an evaluation as a table, the increase that has the strongest colour, the files, and the names of
    the two models.
    """

    rows: "pd.DataFrame"
    strongest: float
    files: dict[str, str]
    names: tuple[str, str]

    @classmethod
    def of(
        cls, evaluation: "Evaluation", pieces: list[list[str]], plain: "Evaluation", names: tuple[str, str]
    ) -> "_Whole":
        rows = tokens.table(evaluation, pieces)
        table = costs.table(plain) if evaluation is plain else repairs.table(plain, evaluation)
        files = {"numbers": table.to_csv(index=False), "tokens": rows.to_csv(index=False)}
        return cls(rows, tokens.scale(rows), files, names)


@dataclass(frozen=True, eq=False)
class _View:
    """The tokens by what is looked at: all that is dropped, or one block; and what the two models are called."""

    rows: "pd.DataFrame"
    strongest: float
    names: tuple[str, str]

    @classmethod
    def of(cls, whole: _Whole, found: "TokenDamages | None", block: str | None) -> "_View":
        if found is None or block is None:
            return cls(whole.rows, whole.strongest, whole.names)
        rows = drawn.rows_of(whole.rows, found, block)
        return cls(rows, tokens.scale(rows), drawn.names_of(block))


def _draw_part_picker(evaluation: "Evaluation") -> slice:
    """The rows of as many windows as can be drawn at once, from the one that a person picks."""
    length = evaluation.window_length
    at_once = max(1, DRAWN // length)
    if evaluation.windows <= at_once:
        return slice(None)
    first = st.slider("Window", 1, evaluation.windows - at_once + 1, key="prune.window")
    return slice((first - 1) * length, (first - 1 + at_once) * length)


def _draw_files(whole: _Whole) -> None:
    with st.container(horizontal=True, gap="small"):
        for name, label in (("numbers", "Numbers as CSV"), ("tokens", "Tokens as CSV")):
            st.download_button(
                label,
                whole.files[name],
                file_name=f"entviz-{name}.csv",
                mime="text/csv",
                icon=":material/download:",
                on_click="ignore",
                key=f"prune.csv.{name}",
            )
