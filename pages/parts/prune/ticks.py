"""The prune set of this session: changed by ticks, words and files, with a way back.

::

    st.button("Clear", on_click=ticks.put, args=("",))
    ticks.current()                          # a PruneSet

It is kept as text with the other choices of the view, so it is in the address bar and in shared links. All changes go
through :func:`put`, from a widget's callback; one that cannot be leaves the set as it was and a sentence to show.

When clicks come faster than the page is drawn, Streamlit stops the older run at its next access to the session's state,
even in the middle of a callback, and starts the newer one. So a change is one write, the last thing done,
and one run at a time makes it.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import streamlit as st

from entviz.blocks import Block, PruneSet
from entviz.errors import BlockError, EntvizError
from pages.parts.shared import selection

UNDO_STEPS: Final = 100
CHARACTERS: Final = 4000  # of a prune set as text, as much as a link may carry
_PAST: Final = "prune.past"
_MESSAGE: Final = "prune.message"
_LAYERS: Final = "prune.layers"


@dataclass
class _Past:
    """What led to the prune set: the sets before it, and the number of the last click on the grid that is in it."""

    sets: list[str] = field(default_factory=list)
    counted: int = 0


_one_at_a_time = threading.Lock()


def current() -> PruneSet:
    """The prune set as it is now."""
    return PruneSet.parse(selection.get("drop"))


def text() -> str:
    """The prune set as text, in canonical form."""
    return str(current())


def know_layers(layers: int | None) -> None:
    """Remember how many layers the model in view has, for checking what is ticked; None while unknown."""
    st.session_state[_LAYERS] = layers


def put(drop: str | PruneSet, **choices: Any) -> None:
    """Make this the prune set. What is no prune set, or would leave nothing of the model, becomes a message.

    ``choices`` are others of the view that are made with it, such as its repair.
    """
    with _one_at_a_time:
        _put(drop, _past(), choices=choices)


def _put(
    drop: str | PruneSet, past: _Past, counted: int | None = None, choices: Mapping[str, Any] | None = None
) -> None:
    before, layers = text(), st.session_state.get(_LAYERS)
    said = ""
    try:
        if len(str(drop)) > CHARACTERS:
            raise BlockError(f"A prune set may have at most {CHARACTERS:,} characters.")
        wanted = drop if isinstance(drop, PruneSet) else PruneSet.parse(drop)
        if layers is not None:
            wanted.check(layers)
    except EntvizError as error:
        said, wanted = f"{error} The prune set stays as it was.", PruneSet.parse(before)
    st.session_state[_MESSAGE] = said
    old = _Past(list(past.sets), past.counted)
    if str(wanted) != before:
        past.sets = [*past.sets, before][-UNDO_STEPS:]
    past.counted = past.counted if counted is None else counted
    try:
        selection.put(**{**(choices or {}), "drop": str(wanted)})
    except BaseException:  # the run was stopped before it could write
        past.sets, past.counted = old.sets, old.counted
        raise


def toggle(blocks: Iterable[Block]) -> None:
    """Tick the blocks that are not dropped, and untick those that are."""
    with _one_at_a_time:
        _put(_toggled(blocks), _past())


def toggle_numbered(clicks: Sequence[tuple[int, Block]]) -> None:
    """Toggle the block of each click whose number is above those that were counted."""
    with _one_at_a_time:
        past = _past()
        new = [(number, block) for number, block in clicks if number > past.counted]
        if new:
            _put(_toggled(block for _, block in new), past, counted=new[-1][0])


def counted() -> int:
    """The number of the last click that :func:`toggle_numbered` counted."""
    return _past().counted


def _toggled(blocks: Iterable[Block]) -> PruneSet:
    drop = current()
    for block in blocks:
        one = PruneSet([block])
        drop = drop - one if block in drop else drop | one
    return drop


def _past() -> _Past:
    past: _Past = st.session_state.setdefault(_PAST, _Past())
    return past


def invert(kinds: Iterable[str], layers: int) -> None:
    """Drop exactly those blocks of these kinds that are kept now; others stay as they are."""
    toggle(Block(kind, index) for kind in kinds for index in range(layers))


def undo() -> None:
    """Back to the prune set before the last change."""
    with _one_at_a_time:
        past = _past()
        if past.sets:
            st.session_state[_MESSAGE] = ""
            selection.put(drop=past.sets[-1])
            past.sets = past.sets[:-1]


def can_undo() -> bool:
    """Whether there is something to undo."""
    return bool(_past().sets)


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
