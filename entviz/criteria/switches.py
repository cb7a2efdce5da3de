"""Options of criteria that are on or off: fields of the criterion's dataclass that know what they are called.

    iterative: bool = switch(False, True, "iterative", "Measure again ...", "measured again", "measure the pruned ...")

The command line, the pages and comparisons offer the switches of the registered criteria by what stands here: in the
shell ``rank --iterative``, in a comparison ``cosine:iterative``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

_KEY = "switch"


@dataclass(frozen=True)
class Switch:
    """What can be switched on.

    Attributes:
        name: the field's name.
        on: the field's value where it is on; ``off`` is its default.
        word: as it is written in a shell and in a contender's name; ``option=value`` where the option has other values.
        title: what a toggle on a page is called.
        short: what is added to a criterion's title where it is on: "measured again".
        purpose: what it does, for a help text; sentences.
    """

    name: str
    off: Any
    on: Any
    word: str
    title: str
    short: str
    purpose: str

    @property
    def key(self) -> str:
        """What its toggle is kept under: the field's name, with the value where the field has other values too."""
        return self.word.replace("=", "_") if "=" in self.word else self.name


def switch(off: Any, on: Any, word: str, title: str, short: str, purpose: str) -> Any:
    """A dataclass field that is a switch, by default off; the arguments are those of :class:`Switch`."""
    return field(default=off, metadata={_KEY: (off, on, word, title, short, purpose)})


def switches_of(cls: Any) -> tuple[Switch, ...]:
    """The switches of a dataclass, in the order of its fields."""
    return tuple(Switch(each.name, *each.metadata[_KEY]) for each in fields(cls) if _KEY in each.metadata)


def all_switches(kinds: Iterable[Any]) -> dict[str, Switch]:
    """The switches of several dataclasses by word, each once."""
    return {each.word: each for kind in kinds for each in switches_of(kind)}
