"""A prompt continued greedily by the dense and by the pruned model, side by side."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.blocks import PruneSet
from entviz.figures import generation as drawn
from entviz.runtime import runtime
from entviz.studies import Generate, Prompt
from pages.parts.prune import numbers, repair, ticks
from pages.parts.shared import job_view, provenance, repairs, selection
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from entviz.evaluation.generation import Generation

PROMPT: Final = "The most important thing about a good story is"
PROMPT_CHARACTERS: Final = 2000
NEW_TOKENS: Final = 40
MOST_NEW_TOKENS: Final = 200


@dataclass(frozen=True)
class ContinuationRequest:
    """What a continuation was asked for."""

    model: str
    prompt: str
    drop: str
    count: int
    begin: bool
    repair: "repairs.ChosenRepair | None" = None


def draw(chosen: selection.Selection, ready: bool, repaired: "repair.Repaired | None" = None) -> None:
    """The prompt, and both continuations. Until ``ready`` nothing new is written: the numbers come first.

    With a repair the pruned model writes with it.
    """
    st.subheader(
        "What it writes",
        anchor=False,
        help="Greedy decoding: the most likely token at each step, so the text never varies.",
    )
    field, length = st.columns([4, 1], vertical_alignment="bottom", gap="small")
    prompt = field.text_input(
        "Prompt", PROMPT, key="prune.prompt", max_chars=PROMPT_CHARACTERS, persist_state="session"
    )
    count = length.number_input(
        "New tokens", 1, MOST_NEW_TOKENS, NEW_TOKENS, key="prune.new_tokens", persist_state="session"
    )
    if not prompt.strip():
        st.info("Write a few words for the model to continue.", icon=":material/edit_note:")
        return
    left, right = st.columns(2, gap="medium")
    asked = ContinuationRequest(chosen.model, prompt, "", int(count), chosen.begin)
    with left:
        dense = _draw_one(chosen, asked, "prune.dense", ready)
    asked = replace(asked, drop=ticks.text(), repair=None if repaired is None else repaired.about.repair)
    with right:
        if not asked.drop:
            st.markdown("**Pruned**")
            st.caption("Drop a block to see what the pruned model writes.")
            pruned = None
        else:
            coming = repaired is None and repair.is_coming(numbers.request(chosen))
            pruned = _draw_one(chosen, asked, "prune.pruned", ready and not coming)
    both = [one for one in (dense, pruned) if one is not None]
    if both:
        _draw_texts(chosen, both, (left, right))


def _draw_one(
    chosen: selection.Selection, asked: "ContinuationRequest", place: str, ready: bool
) -> "Generation | None":
    """Heading and progress of one continuation; returns it once it is there."""
    mended = "" if asked.repair is None else f", repaired ({escape(asked.repair.choice.title)})"
    st.markdown(f"**{numbers.named(asked.drop) + mended if asked.drop else 'Dense'}**")
    shown: job_view.Shown[Generation] = job_view.last(place)
    if not ready and shown.about != asked:
        st.caption("Written once the numbers are there.")
        return None
    prompt = Prompt(chosen.model, asked.prompt, chosen.begin)
    shown = job_view.show(
        lambda: runtime().ask(
            Generate(
                prompt,
                PruneSet.parse(asked.drop),
                asked.count,
                repair=None if asked.repair is None else asked.repair.choice,
            ),
            job_view.session(),
        ),
        place=place,
        label="Writing",
        about=asked,
        draw_partial=_draw_partial,
    )
    return shown.result if shown.fresh else None


def _draw_texts(
    chosen: selection.Selection, both: "list[Generation]", columns: "tuple[DeltaGenerator, ...]"
) -> None:
    """The texts token by token, what differs marked, with how fast the pruned one is."""
    spelled = job_view.show(
        lambda: runtime().spell(chosen.model, [one.token_ids for one in both], job_view.session()),
        place="prune.spelled_continuation",
        label="Writing out the tokens",
        about=tuple(tuple(one.token_ids) for one in both),
    )
    if not spelled.fresh or spelled.result is None:
        return
    differs = drawn.first_difference(both[0], both[1]) if len(both) == 2 else None
    for result, pieces in zip(both, spelled.result, strict=True):
        with columns[1 if result.drop else 0]:
            st.html(drawn.marked_continuation(result, pieces, differs))
            if said := drawn.speeds(result):
                st.caption(said)
            provenance.draw_notes(result.notes)
    if len(both) == 2:
        st.caption(drawn.comparison(both[0], both[1]))


def _draw_partial(generation: "Generation") -> None:
    st.text(generation.text)
