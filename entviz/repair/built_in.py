"""The built-in passages as calibration text, and as another kind of text to measure on: what pages repair with.

other = another(text)                            # to measure on as well
choice("refit", text, other.text)                # fitted on the passages that are neither of them
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from entviz.repair.choice import RepairChoice
from entviz.repair.registry import METHODS
from entviz.text.passages import Passage, passages


def another(*texts: str) -> Passage:
    """The passage after the first of ``texts``, or else the first one; none of ``texts``."""
    every = list(passages().values())
    start = next((place + 1 for place, one in enumerate(every) if one.text == texts[0]), 0)
    return next(one for one in every[start:] + every[:start] if one.text not in texts)


def calibration(*measured: str) -> list[Passage]:
    """The passages that are none of the ``measured`` texts."""
    return [one for one in passages().values() if one.text not in measured]


def choice(method: str, *measured: str, self_written: bool = True) -> RepairChoice:
    """A repair that is fitted on the passages that are none of the ``measured`` texts, as much as the method needs."""
    texts = tuple(one.text for one in calibration(*measured))
    return RepairChoice(method, texts, self_written=self_written)


def is_usual(options: Mapping[str, Any]) -> bool:
    """Whether a stored choice's options (see :meth:`RepairChoice.options`) are those of a :func:`choice` by a page."""
    if options["repair"] not in METHODS:
        return False
    texts = ["", *(one.text for one in passages().values())]
    usual = [choice(options["repair"], text, another(text).text).options() for text in texts]
    keys = ("calibration", "calibration_windows", "calibration_window_length")
    return any(all(options.get(key) == one[key] for key in keys) for one in usual)
