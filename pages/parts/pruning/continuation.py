"""A prompt continued greedily by the dense and by the pruned model, side by side."""

from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.figures import generation as drawn
from entviz.workbench import workbench
from pages.parts import selection, working
from pages.parts.pruning import numbers, ticks

if TYPE_CHECKING:
    from entviz.evaluation.generation import Generation

PROMPT: Final = "The most important thing about a good story is"
PROMPT_CHARACTERS: Final = 2000
NEW_TOKENS: Final = 40
MOST_NEW_TOKENS: Final = 200


def draw(chosen: selection.Selection) -> None:
    """The prompt, and both continuations."""
    st.subheader(
        "What it writes", anchor=False, help="Greedy: always the likeliest token, so it never varies."
    )
    field, length = st.columns([4, 1], vertical_alignment="bottom", gap="small")
    if "prune.prompt" not in st.session_state:
        st.session_state["prune.prompt"] = PROMPT
    prompt = field.text_input(
        "Prompt", key="prune.prompt", max_chars=PROMPT_CHARACTERS, persist_state="session"
    )
    count = length.number_input(
        "New tokens", 1, MOST_NEW_TOKENS, NEW_TOKENS, key="prune.new_tokens", persist_state="session"
    )
    if not prompt.strip():
        st.info("Write a few words for the model to continue.", icon=":material/edit_note:")
        return
    drop = ticks.text()
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Dense**")
        dense = _generate(chosen, prompt, "", int(count), "prune.dense")
    with right:
        st.markdown(f"**{numbers.named(drop)}**")
        if not drop:
            st.caption("Drop a block to see what the pruned model writes.")
            pruned = None
        else:
            pruned = _generate(chosen, prompt, drop, int(count), "prune.pruned")
    both = [one.result for one in (dense, pruned) if one is not None and one.fresh and one.result is not None]
    if not both:
        return
    spelled = working.show(
        lambda: workbench().spell(chosen.model, [one.token_ids for one in both], working.session()),
        place="prune.spelled_continuation",
        label="Writing out the tokens",
        about=tuple(tuple(one.token_ids) for one in both),
    )
    if spelled.fresh and spelled.result is not None:
        differs = drawn.first_difference(both[0], both[1]) if len(both) == 2 else None
        for column, result, pieces in zip((left, right), both, spelled.result, strict=False):
            with column:
                st.html(drawn.marked_continuation(result, pieces, differs))
                st.caption(drawn.speeds(result))
        if len(both) == 2:
            st.caption(drawn.comparison(both[0], both[1]))


def _generate(
    chosen: selection.Selection, prompt: str, drop: str, count: int, place: str
) -> "working.Shown[Generation]":
    return working.show(
        lambda: workbench().generate(chosen.request(), prompt, drop, count, working.session()),
        place=place,
        label="Writing",
        about=(chosen.model, prompt, drop, count),
        draw_partial=_draw_partial,
    )


def _draw_partial(generation: "Generation") -> None:
    st.text(generation.text)
