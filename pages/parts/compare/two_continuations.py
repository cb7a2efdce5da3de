"""A prompt continued without the blocks of one prune set and without those of another, side by side."""

from functools import partial
from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.blocks import PruneSet
from entviz.figures import generation as continuations
from entviz.runtime import runtime
from entviz.studies import Generate, Prompt
from pages.parts.compare.two_costs import NAMES
from pages.parts.shared import job_view, provenance, selection
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    from entviz.evaluation.generation import Generation
    from entviz.runtime.queue import Job

PROMPT: Final = "The old lighthouse keeper"
PROMPT_CHARACTERS: Final = 2000
NEW_TOKENS: Final = 32


def draw(chosen: selection.Selection, a: PruneSet, b: PruneSet) -> None:
    """The prompt, and both continuations with what differs marked."""
    st.subheader(
        "What each writes", anchor=False, help="Greedy decoding: the most likely token at each step."
    )
    prompt = st.text_input(
        "Prompt", PROMPT, key="compare.prompt", max_chars=PROMPT_CHARACTERS, persist_state="session"
    )
    if not prompt.strip():
        st.info("Write a few words for the model to continue.", icon=":material/edit_note:")
        return
    results: list[Generation] = []
    columns = st.columns(2, gap="medium")
    for column, name, drop in zip(columns, NAMES, (a, b), strict=True):
        with column:
            st.markdown(f"**{name}**: {escape(str(drop)[:200]) or 'the dense model'}")
            shown = job_view.show(
                partial(_generate, chosen, prompt, drop, name),
                place=f"compare.generation.{name}",
                label="Writing",
                about=(chosen.model, prompt, str(drop), chosen.begin),
                draw_partial=_draw_so_far,
            )
            if shown.fresh and shown.result is not None:
                results.append(shown.result)
    if len(results) < 2:
        return
    spelled = job_view.show(
        lambda: runtime().spell(chosen.model, [one.token_ids for one in results], job_view.session()),
        place="compare.spelled_continuations",
        label="Writing out the tokens",
        about=tuple(tuple(one.token_ids) for one in results),
    )
    if spelled.fresh and spelled.result is not None:
        differs = continuations.first_difference(*results)
        for column, result, pieces in zip(columns, results, spelled.result, strict=True):
            with column:
                st.html(continuations.marked_continuation(result, pieces, differs))
                if said := continuations.speeds(result):
                    st.caption(said)
                provenance.draw_notes(result.notes)


def _generate(chosen: selection.Selection, prompt: str, drop: PruneSet, side: str) -> "Job[Generation]":
    study = Generate(Prompt(chosen.model, prompt, chosen.begin), drop, NEW_TOKENS)
    return runtime().ask(study, job_view.session(), slot=f"generation {side}")


def _draw_so_far(generation: "Generation") -> None:
    st.text(generation.text)
