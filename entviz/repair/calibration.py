"""The windows that a repair is fitted on, spread over each calibration text."""

from __future__ import annotations

from collections.abc import Sequence

from entviz.models.loaded import LoadedModel
from entviz.text.windows import Windows


def calibration_windows(
    loaded: LoadedModel, texts: Sequence[str], most: int, length: int, *, begin: bool = True
) -> list[Windows]:
    """At most ``most`` windows of ``length`` tokens of each text, one in the middle of each equal part of it.

    Raises ``TextError`` for a text that is shorter than a window.
    """
    found = []
    for text in texts:
        every = loaded.windows(text, window_length=length, begin=begin)
        count = min(most, len(every))
        found.append(every[[(2 * place + 1) * len(every) // (2 * count) for place in range(count)]])
    return found
