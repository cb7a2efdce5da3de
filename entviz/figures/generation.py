"""Two continuations of one prompt for the screen: where they part, and how fast the pruned model writes beside dense.

::

    differs = first_difference(dense, pruned)              # a place in token_ids, or None
    marked_continuation(pruned, pieces, differs)           # HTML, everything in it escaped
"""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from entviz.figures import speed, theme
from entviz.words.phrases import counted

if TYPE_CHECKING:
    from entviz.evaluation.generation import Generation


def first_difference(first: "Generation", second: "Generation") -> int | None:
    """The index of the first token that differs, counted from the prompt's first; None if there is none."""
    shorter = min(len(first.token_ids), len(second.token_ids))
    for place in range(shorter):
        if first.token_ids[place] != second.token_ids[place]:
            return place
    return None if len(first.token_ids) == len(second.token_ids) else shorter


def marked_continuation(generation: "Generation", pieces: Sequence[str], differs: int | None) -> str:
    """The text as HTML: the prompt is pale, and the first token that differs from the other text is marked."""
    spans = []
    for place, piece in enumerate(pieces):
        style = "opacity:0.6" if place < generation.prompt_tokens else ""
        if place == differs:
            ground = theme.with_opacity(theme.ORANGE, 0.45)
            style = f"background:{ground};border-bottom:2px solid {theme.ORANGE};border-radius:3px"
            spans.append(f'<mark title="the first token that differs" style="color:inherit;{style}">')
            spans.append(f"{escape(piece)}</mark>")
        else:
            spans.append(f'<span style="{style}">{escape(piece)}</span>')
    return (
        '<div style="white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.6">'
        + "".join(spans)
        + "</div>"
    )


def speeds(generation: "Generation") -> str:
    """How fast the pruned model writes and reads beside the dense one; empty where the two were not timed in turn."""
    said = [
        f"{done} {speed.in_words(timed)}"
        for done, timed in (("Writes", generation.writing), ("Reads the prompt", generation.reading))
        if timed is not None
    ]
    return f"{'. '.join(said)}. Timed in turn with the dense model." if said else ""


def comparison(dense: "Generation", pruned: "Generation") -> str:
    """Where the two part."""
    place = first_difference(dense, pruned)
    if place is None:
        return "Both continuations are the same, token for token."
    same = place - dense.prompt_tokens
    return f"They are the same for {counted(same, 'new token')}; the first that differs is marked."
