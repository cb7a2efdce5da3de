"""The cheapest next blocks, by the criterion and by measured damage, each one click; and whether the two agree."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import streamlit as st

from entviz.blocks import Block, PruneSet
from entviz.criteria import CRITERIA
from entviz.figures.damages import agreement_sentence
from entviz.words.levels import level_nouns
from entviz.words.metrics import metric_title
from entviz.words.phrases import number
from pages.parts.prune import criteria, damage, ticks
from pages.parts.shared import job_view, selection
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    from entviz.criteria.ranking import Ranking

COUNT: Final = 3
TITLE_WIDTH: Final = 190  # pixels, so that the buttons of both rows begin at one place


def draw(chosen: selection.Selection, choice: criteria.RankingChoices, *, ready: bool) -> None:
    """Both rows of buttons, the sentence, and how far the damages are; ``ready`` once the numbers are there."""
    ranked = job_view.last("prune.ranking")
    ranking: Ranking | None = ranked.result if ranked.about == (chosen, choice) else None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**Next best**", help="The blocks that cost least to drop next. A click drops one.")
        st.toggle(
            "Measure damage",
            value=True,
            key=damage.SWITCH,
            persist_state="session",
            help="In the background, drops each kept block in turn beside those that are dropped, and measures how "
            "much the loss increases. It gives way to all other work.",
        )
    if ranking is not None:
        _draw_by_criterion(ranking, choice)
    damage.draw(chosen, choice.kinds, ready=ready)
    found = damage.newest(chosen, choice.kinds)
    if found is None:
        return
    rows = found.damages.blocks
    rows = rows[rows["kind"].isin(list(choice.kinds)) & np.isfinite(rows["loss"])].nsmallest(COUNT, "loss")
    _draw_row(
        "By measured damage",
        [(str(row.block), f"{number(row.loss, sign=True)} nats a token") for row in rows.itertuples()],
        "damage",
    )
    if ranking is not None:
        _draw_agreement(ranking, choice, found)
    st.caption(f"Measured on {found.measured_on}.")


def _draw_by_criterion(ranking: "Ranking", choice: criteria.RankingChoices) -> None:
    dropped = ticks.current()
    scores = dict(zip(ranking.scores["block"], ranking.scores["score"], strict=True))
    first = [str(block) for block in ranking.order if block not in dropped][:COUNT]
    said = [f"{number(scores[name], sign=choice.unit == 'nats')} {choice.unit}".rstrip() for name in first]
    known = [words if np.isfinite(scores[name]) else "" for name, words in zip(first, said, strict=True)]
    _draw_row(f"By {_title(choice)}", list(zip(first, known, strict=True)), "criterion")


def _draw_row(title: str, blocks: Sequence[tuple[str, str]], place: str) -> None:
    if not blocks:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(escape(title), width=TITLE_WIDTH)
        for name, said in blocks:
            st.button(
                name,
                key=f"prune.next.{place}.{name}",  # so that no click drops what has come into a button's place
                help=f"Drop {name}" + (f" ({said})" if said else ""),
                on_click=_drop,
                args=(name,),
            )


def _drop(name: str) -> None:
    """Drop a block. Not a toggle: a second click, before the page was drawn again, must not put it back."""
    ticks.put(ticks.current() | PruneSet([Block.parse(name)]))


def _draw_agreement(
    ranking: "Ranking", choice: criteria.RankingChoices, found: damage.MeasuredDamage
) -> None:
    from entviz.comparison.damages.agreement import agreement

    said = agreement_sentence(agreement(ranking, found.damages), _title(choice), level_nouns(choice.level))
    so_far = "" if found.damages.finished else " So far."
    st.markdown(escape(said + so_far))


def _title(choice: criteria.RankingChoices) -> str:
    title = CRITERIA[choice.criterion].short_title
    return f"{title}, {metric_title(choice.estimator)}" if criteria.has_estimator(choice.criterion) else title
