"""Which repair, and what it is fitted on: plain data that stands beside a prune set.

choice = RepairChoice("refit", (some_prose, some_code))
repair = fitted(choice, loaded, PruneSet.parse("attn.5,attn.6"))
evaluate(loaded, other_windows, repair.drop, repair=repair)
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from entviz.blocks import PruneSet
from entviz.errors import OptionError
from entviz.repair.registry import METHODS
from entviz.text.passages import passages
from entviz.words.phrases import listed, shortened


@dataclass(frozen=True)
class RepairChoice:
    """A repair's method and its calibration text.

    Attributes:
        method: the name of the method, one of ``METHODS``.
        texts: texts to fit on, one for each kind of text. They should be other text than what is measured on.
        windows: how many windows in all, shared equally by the kinds of text; None for as many as the method needs of
            this model. What the model writes makes up for texts that are too short.
        window_length: the number of tokens of a window; None for the method's.
        self_written: whether text that the model writes itself is one more kind.
    """

    method: str
    texts: tuple[str, ...] = ()
    windows: int | None = None
    window_length: int | None = None
    self_written: bool = True

    @property
    def title(self) -> str:
        """The method's name for a reader."""
        return METHODS[self.method].title

    @property
    def fitted_on(self) -> str:
        """Its kinds of text in a few words: "the story passage and text that the model wrote itself"."""
        known = {passage.text: f"the {passage.name} passage" for passage in passages().values()}
        names = [known.get(text) or f"“{shortened(text, 40)}”" for text in self.texts]
        return listed([*names, *(["text that the model wrote itself"] if self.self_written else [])])

    def check(self, drop: PruneSet, *measured: str) -> None:
        """Raise ``OptionError`` for an unknown method, nothing to repair, no text to fit on, or one of ``measured``."""
        known = METHODS[self.method]
        if not drop:
            raise OptionError(f"Nothing is dropped, so there is nothing that {known.name} could repair.")
        if not self.texts and not self.self_written:
            raise OptionError("A repair is fitted on text of its own: give at least one calibration text.")
        if set(measured) & set(self.texts):
            raise OptionError(
                "The repair would be fitted on the text that it is measured on, which says nothing about other text. "
                "Calibrate on another text."
            )
        if any(number is not None and number < 2 for number in (self.windows, self.window_length)):
            raise OptionError("A repair needs at least two calibration windows of at least two tokens each.")

    def options(self) -> dict[str, Any]:
        """Plain data that is equal for equal choices: part of the keys of results. Texts are told apart by hashes."""
        return {
            "repair": self.method,
            "calibration": [text_hash(text) for text in self.texts],
            "calibration_windows": self.windows,
            "calibration_window_length": self.window_length,
            "self_written": self.self_written,
        }


def text_hash(text: str) -> str:
    """What a calibration text is told apart by, in keys and recipes: the beginning of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
