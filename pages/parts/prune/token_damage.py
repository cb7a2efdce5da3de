"""Which dropped block costs which token: the text by one block, and one token by its blocks.

::

    found = token_damage.measure(shown)                # in the background, the newest there is, or None
    block = token_damage.draw_picker(found)            # what the text is coloured by; None for all that is dropped
    token_damage.draw_text(html, shown.about, links)   # a click chooses a token; it and the bench mark each other's
    token_damage.draw_token(found, pieces, shown.about)
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from entviz.blocks import PruneSet
from entviz.figures import theme
from entviz.figures import token_damages as drawn
from entviz.studies import MeasureTokenDamages
from entviz.studies.token_damages import MOST_BLOCKS
from pages.parts.prune.numbers import EvaluationRequest
from pages.parts.shared import background, job_view
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    from entviz.comparison.damages.token_damages import TokenDamages
    from entviz.evaluation.loss import Evaluation

PLACE: Final = "prune.token_damage"
BLOCK: Final = "prune.token_block"
EVERYTHING: Final = "everything dropped"
_KEY: Final = "prune.token_text"
_CHOSEN: Final = "prune.token"
_HTML: Final = (
    '<div class="tokens" tabindex="0" role="group" aria-label="Tokens; arrow keys choose one"></div>'
)
_CSS: Final = f"""
.tokens {{ font-family: var(--st-font); color: var(--st-text-color); outline-offset: -2px; }}
.tokens [data-at] {{ cursor: pointer; }}
.tokens [data-at].dearest {{ box-shadow: 0 3px 0 var(--st-text-color); font-weight: 700; }}
.tokens [data-at].chosen {{ outline: 2px solid {theme.SKY}; border-radius: 3px; }}
"""
_JS: Final = (Path(__file__).parent / "token_text.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class _Token:
    """A token that was chosen: of which evaluation, in which window (from 0), at which position (from 0)."""

    about: EvaluationRequest
    window: int
    position: int


def measure(shown: "job_view.Shown[Evaluation]") -> "TokenDamages | None":
    """Ask for each dropped block's cost to each token, in the background, and return as much as there is."""
    asked: EvaluationRequest = shown.about
    drop = PruneSet.parse(asked.drop)
    if len(list(drop)) > MOST_BLOCKS:
        st.caption(f"Which block costs which token is measured for up to {MOST_BLOCKS} dropped blocks.")
    wanted = shown.fresh and 0 < len(list(drop)) <= MOST_BLOCKS
    study = MeasureTokenDamages(asked.selection.sample(), drop, asked.dtype) if wanted else None
    background.show(
        PLACE,
        asked,
        study,
        ready=True,
        said=lambda share: f"Measuring what each dropped block costs each token: {share:.0%}.",
    )
    found: TokenDamages | None = background.newest(PLACE, asked)
    return found


def draw_picker(found: "TokenDamages | None") -> str | None:
    """The picker of what the text is coloured by. Returns a block, or None for all that is dropped together."""
    options = [EVERYTHING, *(found.measured if found is not None else ())]
    if len(options) == 1:
        return None
    if st.session_state.get(BLOCK) not in options:
        st.session_state[BLOCK] = EVERYTHING
    picked: str = st.selectbox(
        "What the text is coloured by: the cost of",
        options,
        key=BLOCK,
        width=320,
        help="A block's cost to a token is the token's loss now, less that with this block alone put back. Costs do "
        "not add up to the whole, as blocks interact.",
    )
    return None if picked == EVERYTHING else picked


def draw_text(html: str, about: EvaluationRequest, links: dict[str, Any] | None) -> None:
    """The text; a click on a token chooses it.

    ``links`` are as :func:`entviz.figures.token_damages.links` gives them, None where nothing is measured.
    """
    token = _chosen(about)
    mount = st.components.v2.component("entviz_tokens", html=_HTML, css=_CSS, js=_JS)
    mount(
        key=_KEY,
        data={
            "html": html,
            "chosen": "" if token is None else f"{token.window + 1}.{token.position + 1}",
            "links": links,
        },
        on_chosen_change=lambda: _take(about),
    )


def draw_token(
    found: "TokenDamages | None", pieces: Sequence[Sequence[str]], about: EvaluationRequest
) -> None:
    """What each dropped block costs the token that was chosen."""
    token = _chosen(about)
    if found is None:
        return
    if token is None:
        st.caption("Click a token to see which dropped block costs it most.")
        return
    if token.window >= found.windows or not 1 <= token.position < found.window_length:
        return
    said = drawn.token_sentence(found, token.window, token.position, pieces[token.window][token.position])
    st.markdown(escape(said))
    if len(found.measured) > 1:
        st.plotly_chart(
            drawn.token_bars(found, token.window, token.position),
            key="prune.token_bars",
            config=theme.export_config("entviz-token-blocks"),
            alt=said,
        )


def _chosen(about: EvaluationRequest) -> _Token | None:
    """The token that was chosen, where the same text is in view: what is dropped may have changed since."""
    token: _Token | None = st.session_state.get(_CHOSEN)
    return token if token is not None and token.about.selection == about.selection else None


def _take(about: EvaluationRequest) -> None:
    said = st.session_state[_KEY].chosen
    match = re.fullmatch(r"([0-9]{1,6})\.([0-9]{1,6})", said) if isinstance(said, str) else None
    token = None if match is None else _Token(about, int(match[1]) - 1, int(match[2]) - 1)
    st.session_state[_CHOSEN] = (
        token if token is not None and min(token.window, token.position) >= 0 else None
    )
