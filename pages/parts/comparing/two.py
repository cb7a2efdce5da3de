"""The tab with two prune sets: what they share, what each costs and where, and what each writes."""

from functools import partial
from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.blocks import PruneSet
from entviz.comparison import sides
from entviz.errors import EntvizError
from entviz.export.recipe import read_recipe
from entviz.figures import comparison as drawn
from entviz.figures import generation as continuations
from entviz.figures import theme, tokens
from entviz.workbench import workbench
from pages.parts import analyzed, files, measured, selection, working
from pages.parts.markdown import escape

if TYPE_CHECKING:
    from entviz.comparison.pair import Contrast
    from entviz.evaluation.generation import Generation
    from entviz.evaluation.loss import Evaluation
    from entviz.jobs import Job

CHARACTERS: Final = 20_000  # of a prune set or a recipe as text
DRAWN: Final = 1024  # tokens at a time
PROMPT: Final = "The old lighthouse keeper"
PROMPT_CHARACTERS: Final = 2000
NEW_TOKENS: Final = 32
NAMES: Final = ("A", "B")


def draw() -> None:
    """The whole tab."""
    chosen = selection.current()
    todo = selection.missing(chosen)
    if todo:
        st.info(todo, icon=":material/edit_note:")
        return
    left, right = st.columns(2, gap="medium")
    with left:
        a = _draw_set("a", str(selection.get("drop")))
    with right:
        b = _draw_set("b", "")
    if a is None or b is None:
        return
    if not a and not b:
        st.info(
            "Write two prune sets, or take them from the table of the Criteria tab. An empty one is the dense model.",
            icon=":material/edit_note:",
        )
        return
    analysis = analyzed.show(chosen, "compare.two.analysis").result
    if analysis is None:
        return
    try:
        for drop in (a, b):
            drop.check(analysis.layers)
    except EntvizError as error:
        st.error(escape(str(error)), icon=":material/error:")
        return
    _draw_overlap(a, b, analysis.layers)
    _draw_costs(chosen, a, b)
    _draw_blocks(chosen, a, b)
    _draw_continuations(chosen, a, b)


def _draw_set(side: str, otherwise: str) -> PruneSet | None:
    """The field for one prune set, and what is written there; None where it is no prune set."""
    key = f"compare.set.{side}"
    st.session_state.setdefault(key, otherwise)
    written = st.text_input(
        f"Prune set {side.upper()}",
        key=key,
        max_chars=CHARACTERS,
        placeholder="attn.5,layer.7",
        persist_state="session",
        help="Blocks with commas, or a recipe's text. Empty: the dense model.",
    )
    current = str(selection.get("drop"))
    st.button(
        "Take the current prune set",
        key=f"compare.current.{side}",
        icon=":material/content_cut:",
        disabled=written == current,
        on_click=lambda: st.session_state.update({key: current}),
        help="The one of the Prune page.",
    )
    try:
        return _read(written)
    except EntvizError as error:
        st.error(escape(str(error)), icon=":material/error:")
        return None


def _read(written: str) -> PruneSet:
    if written.lstrip().startswith("{"):
        return read_recipe(written.encode()).drop
    return PruneSet.parse(written)


def _draw_overlap(a: PruneSet, b: PruneSet, layers: int) -> None:
    only_a, both, only_b = sides.shared(a, b)
    st.subheader("Overlap", anchor=False, help="A layer counts as its attention and its MLP.")
    st.markdown(f"**{both}** dropped by both, **{only_a}** by A only, **{only_b}** by B only.")
    st.plotly_chart(
        drawn.overlap_board(a, b, layers),
        key="compare.overlap",
        config=theme.export_config("entviz-overlap"),
        alt=f"Blocks that A and B drop: {both} by both, {only_a} by A only, {only_b} by B only",
    )


def _draw_costs(chosen: selection.Selection, a: PruneSet, b: PruneSet) -> None:
    st.subheader("What each costs", anchor=False)
    results: list[Evaluation] = []
    for name, drop in zip(NAMES, (a, b), strict=True):
        shown = working.show(
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
    on = measured.on(chosen.model, chosen.text_title, first.windows, first.token_ids.shape[1])
    st.caption(f"Measured on {on}, {first.dtype}.")
    st.dataframe(sides.table(first, second), hide_index=True, column_config={"measure": ""})
    _draw_tokens(chosen, first, second)


def _evaluate(chosen: selection.Selection, drop: PruneSet) -> "Job[Evaluation]":
    # Both are wanted at the same time, so neither takes the place of the other.
    return workbench().evaluate(chosen.request(), str(drop), working.session(), supersede=False)


def _draw_tokens(chosen: selection.Selection, a: "Evaluation", b: "Evaluation") -> None:
    st.subheader("Where in the text they differ", anchor=False, help="Loss is −log p of a token, in nats.")
    about = (chosen.model, a.token_ids.tobytes())
    spelled = working.show(
        lambda: workbench().spell(chosen.model, a.token_ids.tolist(), working.session()),
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
    files.draw_csv("Tokens as CSV", losses, "entviz-token-difference.csv", key="compare.csv.tokens")


def _draw_blocks(chosen: selection.Selection, a: PruneSet, b: PruneSet) -> None:
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
    shown = working.show(
        lambda: workbench().contrast(chosen.request(), str(a), str(b), working.session()),
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


def _draw_continuations(chosen: selection.Selection, a: PruneSet, b: PruneSet) -> None:
    st.subheader("What each writes", anchor=False, help="Greedy: the likeliest token each time.")
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
            shown = working.show(
                partial(_generate, chosen, prompt, drop, name),
                place=f"compare.generation.{name}",
                label="Writing",
                about=(chosen.model, prompt, str(drop)),
                draw_partial=_draw_so_far,
            )
            if shown.fresh and shown.result is not None:
                results.append(shown.result)
    if len(results) < 2:
        return
    spelled = working.show(
        lambda: workbench().spell(chosen.model, [one.token_ids for one in results], working.session()),
        place="compare.spelled_continuations",
        label="Writing out the tokens",
        about=tuple(tuple(one.token_ids) for one in results),
    )
    if spelled.fresh and spelled.result is not None:
        differs = continuations.first_difference(*results)
        for column, result, pieces in zip(columns, results, spelled.result, strict=True):
            with column:
                st.html(continuations.marked_continuation(result, pieces, differs))
                st.caption(continuations.speeds(result))


def _generate(chosen: selection.Selection, prompt: str, drop: PruneSet, side: str) -> "Job[Generation]":
    return workbench().generate(chosen.request(), prompt, str(drop), NEW_TOKENS, working.session(), side=side)


def _draw_so_far(generation: "Generation") -> None:
    st.text(generation.text)
