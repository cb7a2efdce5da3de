"""Calibration windows in groups that go through the model together.

for group in grouped(loaded, [prose, code], holds_out=True):
    group.token_ids
    group.parts(by_kind=False)         # {None: [0, 1], 2: [3]}: windows to fit on, and held out ones of kind 2
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from entviz.decoder.batching import windows_per_batch
from entviz.errors import OptionError
from entviz.models.loaded import LoadedModel
from entviz.text.windows import Windows

HELD_OUT: Final = 4  # every so many windows, one decides how large coefficients may be


@dataclass(frozen=True, eq=False)
class Group:
    """Windows that go through the model together, of one length."""

    token_ids: Tensor
    before: int  # ids that begin each window, which are no part of the text
    kinds: tuple[int, ...]  # of text, of each window
    held_out: tuple[bool, ...]  # whether a window is

    def parts(self, *, by_kind: bool) -> dict[int | None, list[int]]:
        """The numbers of windows that are held out, by kind, and under None of the others; or of all by kind."""
        found: dict[int | None, list[int]] = {}
        for number, (kind, held_out) in enumerate(zip(self.kinds, self.held_out, strict=True)):
            found.setdefault(kind if held_out or by_kind else None, []).append(number)
        return found


def grouped(loaded: LoadedModel, kinds: Sequence[Windows], *, holds_out: bool) -> list[Group]:
    """Windows of several kinds of text, those of one length together whatever their kind.

    Raises ``OptionError`` if windows are held out, and a kind has only one.
    """
    alike: dict[tuple[int, int], list[tuple[int, bool, Tensor]]] = {}
    for kind, windows in enumerate(kinds):
        if len(windows) < 2 and holds_out:
            raise OptionError("A repair needs at least two calibration windows of each kind of text.")
        decides = min(HELD_OUT, len(windows)) - 1
        alike.setdefault((windows.input_length, len(windows.beginning)), []).extend(
            (kind, number % HELD_OUT == decides, ids) for number, ids in enumerate(windows.inputs)
        )
    groups = []
    for (length, before), found in alike.items():
        size = windows_per_batch(loaded.anatomy, length)
        found.sort(key=lambda window: window[1])  # those that are fitted on go through together
        for first in range(0, len(found), size):
            which, held_out, ids = zip(*found[first : first + size], strict=True)
            groups.append(Group(torch.stack(ids).to(loaded.device), before, which, held_out))
    return groups
