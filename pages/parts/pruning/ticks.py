"""The prune set of this session: changed by ticks, words and files, with a way back.

::

    st.button("Clear", on_click=ticks.put, args=("",))
    ticks.current()                          # a PruneSet

It is kept as text with the other choices of the view, so it is in the address bar and in shared links. All changes go
through :func:`put`, from a widget's callback; one that cannot be leaves the set as it was and a sentence to show.
"""

from collections.abc import Iterable
from typing import Final

import streamlit as st

from entviz.blocks import Block, PruneSet
from entviz.errors import BlockError, EntvizError
from pages.parts import selection

UNDO_STEPS: Final = 100
CHARACTERS: Final = 4000  # of a prune set as text, as much as a link may carry
_UNDO: Final = "prune.undo"
_MESSAGE: Final = "prune.message"
_LAYERS: Final = "prune.layers"


def current() -> PruneSet:
    """The prune set as it is now."""
    return PruneSet.parse(selection.get("drop"))


def text() -> str:
    """The prune set as text, in canonical form."""
    return str(current())


def know_layers(layers: int | None) -> None:
    """Remember how many layers the model in view has, for checking what is ticked; None while unknown."""
    st.session_state[_LAYERS] = layers


def put(drop: str | PruneSet) -> None:
    """Make this the prune set. What is no prune set, or would leave nothing of the model, becomes a message."""
    st.session_state[_MESSAGE] = ""
    before = text()
    try:
        if len(str(drop)) > CHARACTERS:
            raise BlockError(f"A prune set may have at most {CHARACTERS:,} characters.")
        wanted = drop if isinstance(drop, PruneSet) else PruneSet.parse(drop)
        layers = st.session_state.get(_LAYERS)
        if layers is not None:
            wanted.check(layers)
    except EntvizError as error:
        st.session_state[_MESSAGE] = f"{error} The prune set stays as it was."
        return
    if str(wanted) == before:
        return
    st.session_state[_UNDO] = [*st.session_state.get(_UNDO, []), before][-UNDO_STEPS:]
    selection.put(drop=str(wanted))


def toggle(blocks: Iterable[Block]) -> None:
    """Tick the blocks that are not dropped, and untick those that are."""
    drop = current()
    for block in blocks:
        one = PruneSet([block])
        drop = drop - one if block in drop else drop | one
    put(drop)


def invert(kinds: Iterable[str], layers: int) -> None:
    """Drop exactly those blocks of these kinds that are kept now; others stay as they are."""
    toggle(Block(kind, index) for kind in kinds for index in range(layers))


def undo() -> None:
    """Back to the prune set before the last change."""
    steps = st.session_state.get(_UNDO, [])
    if steps:
        st.session_state[_MESSAGE] = ""
        selection.put(drop=steps[-1])
        st.session_state[_UNDO] = steps[:-1]


def can_undo() -> bool:
    """Whether there is something to undo."""
    return bool(st.session_state.get(_UNDO))


def message() -> str:
    """Why the last change was not made, or the empty text. Users wrote some of it: escape it."""
    said: str = st.session_state.get(_MESSAGE, "")
    return said


def complain(sentence: str) -> None:
    """Leave a sentence about something that could not be taken over."""
    st.session_state[_MESSAGE] = sentence


def foreign(layers: int) -> list[Block]:
    """The dropped blocks that a model of so many layers does not have, as when a link was made for a larger one."""
    return [block for block in current() if block.index >= layers]


def forget_foreign(layers: int) -> None:
    """Keep only the blocks that a model of so many layers has."""
    put(PruneSet(block for block in current() if block.index < layers))
