"""Split a text into the windows that criteria choose by and the windows on which prune sets are measured.

parts = split(loaded.windows(text), wanted=4)
compare(loaded, parts.calibration, parts.measured, ["cosine"], ["8"])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest

from entviz.errors import OptionError, TextError, TooShortError
from entviz.models.loaded import LoadedModel
from entviz.text.windows import Windows


@dataclass(frozen=True)
class Split:
    """The windows that criteria choose by, and the windows on which prune sets are measured.

    ``searched`` are the windows that the search chooses by, if they differ from those of other criteria.
    """

    calibration: Windows
    measured: Windows
    searched: Windows | None = None

    @property
    def fingerprint(self) -> str:
        """A fingerprint that is equal for splits with equal windows."""
        more = f"+{self.searched.fingerprint}" if self.searched is not None else ""
        return f"{self.calibration.fingerprint}+{self.measured.fingerprint}{more}"


def split(whole: Windows, wanted: int | None = None, most: int | None = None) -> Split:
    """The first ``wanted`` windows for choosing, and up to ``most`` windows after them for measuring.

    By default, or if there are too few windows, each gets half of them. A single window is used for both. Raises
    ``OptionError`` if ``wanted`` is below 1.
    """
    if wanted is not None and wanted < 1:
        raise OptionError(f"Criteria need at least 1 window to choose blocks by, not {wanted}.")
    count = len(whole)
    if count == 1:
        return Split(whole, whole)
    first = count // 2 if wanted is None else min(wanted, count // 2)
    last = count if most is None else min(count, first + most)
    return Split(whole[:first], whole[first:last])


def spread(whole: Windows, wanted: int | None = None) -> Windows:
    """The windows in the middle of each of ``wanted`` equal parts of a text, or all windows. They represent the text
    better than its first windows. Raises ``OptionError`` if there are fewer windows.
    """
    count = len(whole)
    if wanted is None:
        return whole
    if not 1 <= wanted <= count:
        raise OptionError(
            f"The text has {count} windows: choose blocks by 1 to {count} of them, not by {wanted}."
        )
    return whole[[(2 * place + 1) * count // (2 * wanted) for place in range(wanted)]]


def windows_of(
    texts: Sequence[str], loaded: LoadedModel, length: int, most: int, *, begin: bool = True
) -> Windows:
    """Up to ``most`` whole windows of several texts, taken from each text in turn.

    ``begin`` is as for :func:`entviz.text.windows.windows_from_text`. Raises ``TextError`` if none fills a window.
    """
    each = []
    for text in texts:
        try:
            each.append(loaded.windows(text, window_length=length, begin=begin))
        except TooShortError:  # the other texts may be longer
            continue
    if not each:
        raise TextError(
            f"None of the texts to measure on fills a window of {length} tokens: use shorter windows."
        )
    by_turns = chain.from_iterable(zip_longest(*each))
    return Windows.join(islice((window for window in by_turns if window is not None), most))


def overlap(calibration: Windows, measured: Windows) -> bool:
    """Whether a window of one is a window of the other."""
    seen = {tuple(row) for row in calibration.token_ids.tolist()}
    return any(tuple(row) in seen for row in measured.token_ids.tolist())
