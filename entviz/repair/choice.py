"""Which repair, and what it is fitted on: plain data that stands beside a prune set.

    choice = RepairChoice("refit", (some_prose, some_code))
    repair = choice.fit(loaded, PruneSet.parse("attn.5,attn.6"))
    evaluate(loaded, other_windows, repair.drop, repair=repair)

What was fitted stays in memory up to a bound, so that the cost, the curve and the continuation of one prune set share
a fit.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Final

import psutil
from cachetools import LRUCache

from entviz.blocks import PruneSet
from entviz.errors import OptionError
from entviz.models.loaded import LoadedModel
from entviz.progress import Progress, part, silent
from entviz.repair.calibration import calibration_windows
from entviz.repair.fitting import fit
from entviz.repair.registry import METHODS
from entviz.repair.repair import Repair
from entviz.repair.self_written import self_written
from entviz.text.windows import Windows

WINDOWS: Final = 32
WINDOW_LENGTH: Final = 256
_WRITING: Final = 0.5  # the usual share of the time that writing text takes where it is not kept


@dataclass(frozen=True)
class RepairChoice:
    """A repair's method and its calibration text.

    Attributes:
        method: the name of the method, one of ``METHODS``.
        texts: texts to fit on, one for each kind of text. They should be other text than what is measured on.
        windows: how many windows of each, and of what the model writes; fewer if a text is shorter.
        window_length: the number of tokens of a window.
        self_written: whether text that the model writes itself is one more kind.
    """

    method: str
    texts: tuple[str, ...] = ()
    windows: int = WINDOWS
    window_length: int = WINDOW_LENGTH
    self_written: bool = True

    @property
    def title(self) -> str:
        """The method's name for a reader."""
        return METHODS[self.method].title

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
        if self.windows < 2 or self.window_length < 2:
            raise OptionError("A repair needs at least two calibration windows of at least two tokens each.")

    def options(self) -> dict[str, Any]:
        """Plain data that is equal for equal choices: part of the keys of results. Texts are told apart by hashes."""
        return {
            "repair": self.method,
            "calibration": [hashlib.sha256(text.encode()).hexdigest()[:16] for text in self.texts],
            "calibration_windows": self.windows,
            "calibration_window_length": self.window_length,
            "self_written": self.self_written,
        }

    def calibration(
        self, loaded: LoadedModel, *, begin: bool = True, progress: Progress = silent
    ) -> list[Windows]:
        """The windows of each kind of text. Raises ``TextError`` for a text that is shorter than a window."""
        length = self.window_length
        most = loaded.anatomy.most_tokens
        if most is not None:
            length = min(length, most - 1)  # a beginning token may come before the text's
        found = calibration_windows(loaded, self.texts, self.windows, length, begin=begin)
        if self.self_written:
            found.append(self_written(loaded, windows=self.windows, length=length, progress=progress))
        return found

    def fit(
        self, loaded: LoadedModel, drop: PruneSet, *, begin: bool = True, progress: Progress = silent
    ) -> Repair:
        """The repair of ``drop``; one that was fitted before is not fitted again while it is kept.

        Raises what :meth:`check`, :meth:`calibration` and :func:`entviz.repair.fitting.fit` raise.
        """
        self.check(drop)
        key = (loaded.fingerprint, str(loaded.dtype), self, begin, drop)
        with _lock:
            known = _kept.get(key)
        if known is None:
            writing = _WRITING if self.self_written else 0.0
            windows = self.calibration(loaded, begin=begin, progress=part(progress, 0, writing))
            known = fit(loaded, windows, drop, self.method, progress=part(progress, writing, 1))
            if _bytes(known) <= _kept.maxsize:
                with _lock:
                    _kept[key] = known
        return known


def _bytes(repair: Repair) -> int:
    tensors = (tensor for patch in repair.patches for tensor in patch.tensors().values())
    return 1000 + sum(tensor.numel() * tensor.element_size() for tensor in tensors)


_lock = threading.Lock()
_kept: LRUCache[Hashable, Repair] = LRUCache(
    min(1e9, psutil.virtual_memory().total / 20), getsizeof=_bytes
)
