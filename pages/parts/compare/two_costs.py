"""What each of two prune sets costs, where in the text they differ, and what each block costs in its set."""

from functools import partial
from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.blocks import PruneSet
from entviz.comparison.pair import sides
from entviz.figures import comparison as drawn
from entviz.figures import theme, tokens
from entviz.runtime import runtime
from entviz.studies import ContrastBlocks, Evaluate
from pages.parts.shared import downloads, job_view, provenance, selection
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    from entviz.comparison.pair.pair import Contrast
    from entviz.evaluation.loss import Evaluation
    from entviz.runtime.queue import Job

DRAWN: Final = 1024  # tokens at a time
NAMES: Final = ("A", "B")


def draw(chosen: selection.Selection, a: PruneSet, b: PruneSet) -> None:
    """The numbers of both, and the text with the difference of their losses."""
    st.subheader("What each costs", anchor=False)
    results: list[Evaluation] = []
    for name, drop in zip(NAMES, (a, b), strict=True):
        shown = job_view.show(
            partial(_evaluate, chosen, drop),
            place=f"compare.evaluation.{name}",
            label=f"Evaluating {name}",
            about=(chosen, str(drop)),
        )
        if shown.fresh and shown.result is not None:
            results.append(shown.result)
    if len(results) < 2:
        return
    first, second = results
    st.markdown(f"**{escape(sides.sentence(first, second))}**")
    on = provenance.on(chosen.model, chosen.text_title, first.windows, first.window_length)
    st.caption(f"Measured on {on}, {first.dtype}.")
    provenance.draw_notes(first.notes)
    st.dataframe(sides.table(first, second), hide_index=True, column_config={"measure": ""})
    _draw_tokens(chosen, first, second)


def _evaluate(chosen: selection.Selection, drop: PruneSet) -> "Job[Evaluation]":
    # Both are wanted at the same time, so neither takes the place of the other.
    return runtime().ask(Evaluate(chosen.sample(), drop), job_view.session(), slot=None)


def _draw_tokens(chosen: selection.Selection, a: "Evaluation", b: "Evaluation") -> None:
    st.subheader("Where in the text they differ", anchor=False, help="Loss is −log p of a token, in nats.")
    about = (chosen.model, a.token_ids.tobytes())
    spelled = job_view.show(
        lambda: runtime().spell(chosen.model, a.token_ids.tolist(), job_view.session()),
        place="compare.spelling",
        label="Writing out the tokens",
        about=about,
    )
    if spelled.result is None or spelled.about != about:
        return
    rows = drawn.token_table(a, b, spelled.result)
    strongest = tokens.scale(rows)
    part = rows.iloc[:DRAWN]
    st.caption("Vermilion: B predicts the token worse than A. Blue: B predicts it better.")
    st.html(tokens.legend(strongest))
    with st.container(height=300):
        st.html(tokens.marked_text(part, strongest, NAMES))
    st.plotly_chart(
        tokens.loss_chart(part, difference=True, names=NAMES),
        key="compare.tokens",
        config=theme.export_config("entviz-token-difference"),
        alt="Loss of B minus loss of A at each token position. The tokens as CSV hold the same numbers.",
    )
    if len(rows) > len(part):
        st.caption(f"The first {len(part):,} of {len(rows):,} tokens. The file has them all.")
    losses = rows.rename(columns={"nll": "nll_b", "dense_nll": "nll_a"}).drop(columns=["kl"])
    downloads.draw_csv("Tokens as CSV", losses, "entviz-token-difference.csv", key="compare.csv.tokens")


def draw_blocks(chosen: selection.Selection, a: PruneSet, b: PruneSet) -> None:
    """What each block costs within its set, measured when the person asks for it."""
    st.subheader(
        "What each block costs in its set",
        anchor=False,
        help="The set's loss minus the loss with that block alone put back. The same block can cost much in one set "
        "and little in the other.",
    )
    asked = (chosen, str(a), str(b))
    if st.session_state.get("compare.contrast") != asked:
        count = len(list(a)) + len(list(b)) + 2
        st.button(
            f"Measure it ({count} evaluations)",
            key="compare.contrast.start",
            icon=":material/play_arrow:",
            on_click=lambda: st.session_state.update({"compare.contrast": asked}),
        )
        return
    shown = job_view.show(
        lambda: runtime().ask(ContrastBlocks(chosen.sample(), a, b), job_view.session()),
        place="compare.contrast.job",
        label="Putting blocks back",
        about=asked,
    )
    if shown.result is None or shown.about != asked:
        return
    found: Contrast = shown.result
    st.plotly_chart(
        drawn.block_costs(found),
        key="compare.blocks",
        config=theme.export_config("entviz-block-costs"),
        alt="What each dropped block costs within A and within B, nats a token",
    )
    provenance.draw_notes(found.notes)
