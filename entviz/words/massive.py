"""Sentences about tokens with massive activations. The rule is in :mod:`entviz.analysis.massive`.

named(analysis.massive, 4)         # "the first token of 4 of 4 windows"
left_out(analysis.massive, 4)      # "Left out: the first token of 4 of 4 windows (“The”, “ of”, ...), up to 985 × ..."
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entviz.words.phrases import counted, listed, some

if TYPE_CHECKING:
    import pandas as pd

RATIO: Final = 10  # a massive token's norm is more than this many times the median norm in its window
RULE: Final = (
    "A token has massive activations if, at some site of the dense model, the norm of its hidden state is more than "
    f"{RATIO} times the median norm of the tokens in its window (after Sun et al. 2024, arXiv 2402.17762)."
)
_NAMED: Final = 4  # number of tokens that a sentence names


def named(massive: pd.DataFrame, windows: int) -> str:
    """The massive tokens as part of a sentence; ``massive`` is not empty, and ``windows`` is how many were measured."""
    first = massive[massive["position"] == 0]
    others = massive[massive["position"] != 0]
    parts = [f"the first token of {len(first)} of {counted(windows, 'window')}"] if len(first) else []
    if len(others):
        where = f"{others['window'].nunique()} of {counted(windows, 'window')}"
        parts.append(f"{counted(len(others), 'other token' if parts else 'token')} of {where}")
    return listed(parts)


def spelled(massive: pd.DataFrame) -> str:
    """Their texts, without repetition: "“The”, “ of” and 2 more"; empty if there is no tokenizer."""
    texts = [repr_of(text) for text in dict.fromkeys(massive["text"]) if text]
    return some(texts, _NAMED)


def repr_of(text: str) -> str:
    """A token's text in quotation marks, with line ends as escapes."""
    return f"“{text.encode('unicode_escape').decode() if not text.isprintable() else text}”"


def how_large(massive: pd.DataFrame) -> str:
    """Their largest norm: "up to 985 × the median norm"."""
    return f"up to {float(massive['ratio'].max()):,.0f} × the median norm"


def massive_ones(massive: pd.DataFrame, windows: int) -> str:
    """A sentence for numbers that were measured with these tokens; ``massive`` is not empty."""
    who = named(massive, windows)
    verb = "have" if len(massive) > 1 else "has"
    return f"{who[0].upper()}{who[1:]} {verb} massive activations, {how_large(massive)}."


def left_out(massive: pd.DataFrame, windows: int) -> str:
    """A sentence for numbers that were measured without these tokens."""
    if massive.empty:
        return f"Left out: nothing, as no token's norm is above {RATIO} × the median norm of its window."
    texts = spelled(massive)
    return f"Left out: {named(massive, windows)}{f' ({texts})' if texts else ''}, {how_large(massive)}."
