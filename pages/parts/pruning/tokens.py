"""Where in the text it hurts: the tokens coloured by how much worse they got, and the loss at each position."""

from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.figures import costs, theme, tokens
from entviz.workbench import workbench
from pages.parts import working
from pages.parts.pruning import numbers

if TYPE_CHECKING:
    import pandas as pd

    from entviz.evaluation.loss import Evaluation

DRAWN: Final = 1024  # tokens at a time; more would make the page slow
DIFFERENCE: Final = "Difference"
VIEWS: Final = (DIFFERENCE, "Dense and pruned")


def draw(shown: "working.Shown[Evaluation]") -> None:
    """The text and the chart of the newest evaluation there is, and the files to take along."""
    if shown.result is None:
        return
    evaluation, asked = shown.result, shown.about
    st.subheader(
        "Where it hurts", anchor=False, help="Loss is −log p of a token given those before it, in nats."
    )
    earlier = "" if shown.fresh else "Shown is the earlier result. "
    st.caption(f"{earlier}{numbers.named(asked.drop)}, measured on {numbers.measured_on(evaluation, asked)}.")
    spelled = working.show(
        lambda: workbench().spell(asked.selection.model, evaluation.token_ids.tolist(), working.session()),
        place="prune.spelling",
        label="Writing out the tokens",
        about=(asked.selection.model, evaluation.token_ids.tobytes()),
    )
    # Never another text's words under these numbers.
    if spelled.result is None or spelled.about != (asked.selection.model, evaluation.token_ids.tobytes()):
        return
    rows = tokens.table(evaluation, spelled.result)
    part = _draw_part_picker(evaluation, rows)
    strongest = tokens.scale(rows)
    if evaluation.drop:
        st.html(tokens.legend(strongest))
    with st.container(height=320, key="prune.text_box"):
        st.html(tokens.marked_text(part, strongest))
    view = st.segmented_control(
        "Loss at each token position",
        VIEWS,
        default=VIEWS[0],
        required=True,
        key="prune.loss_view",
        persist_state="session",
    )
    st.plotly_chart(
        tokens.loss_chart(part, difference=view == DIFFERENCE),
        key="prune.loss",
        config=theme.export_config("entviz-token-loss"),
        alt="Loss at each token position, dense and pruned. The tokens as CSV hold the same numbers.",
    )
    _draw_files(evaluation, rows)


def _draw_part_picker(evaluation: "Evaluation", rows: "pd.DataFrame") -> "pd.DataFrame":
    """As many windows as can be drawn at once, from the one that a person picks."""
    at_once = max(1, DRAWN // evaluation.token_ids.shape[1])
    if evaluation.windows <= at_once:
        return rows
    first = st.slider("Window", 1, evaluation.windows - at_once + 1, key="prune.window")
    return rows[(rows["window"] >= first) & (rows["window"] < first + at_once)]


def _draw_files(evaluation: "Evaluation", rows: "pd.DataFrame") -> None:
    with st.container(horizontal=True, gap="small"):
        for name, label, table in (
            ("numbers", "Numbers as CSV", costs.table(evaluation)),
            ("tokens", "Tokens as CSV", rows),
        ):
            st.download_button(
                label,
                table.to_csv(index=False),
                file_name=f"entviz-{name}.csv",
                mime="text/csv",
                icon=":material/download:",
                on_click="ignore",
                key=f"prune.csv.{name}",
            )
