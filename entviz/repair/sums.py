"""What a fit is made from at one place: the tokens that are fitted on together, and those that decide, by kind of text.

sums = Sums()
sums.add(rows, None)          # fitted on
sums.add(others, 2)           # of kind 2, which decide how large coefficients may be
sums.fitted.solve(1e-2)
sums.everything()             # all of them
"""

from __future__ import annotations

from functools import cached_property

from entviz.repair.moments import Moments, Rows, joined


class Sums:
    """What a fit is made from. Its memory grows with the number of unknowns and not with the text."""

    def __init__(self) -> None:
        self._parts: dict[int | None, Rows | Moments] = {}

    def add(self, rows: Rows, kind: int | None) -> None:
        """Add tokens of a kind of text, which is None for those that are fitted on whatever their kind."""
        known = self._parts.get(kind)
        self._parts[kind] = rows if known is None else known.and_more(rows)

    @property
    def finite(self) -> bool:
        """Whether all numbers are."""
        return all(part.finite for part in self._parts.values())

    @property
    def kinds(self) -> list[Rows | Moments]:
        """Those that were added with a kind, by kind."""
        return [self._parts[kind] for kind in sorted(kind for kind in self._parts if kind is not None)]

    @cached_property
    def fitted(self) -> Moments:
        """Those without a kind; if there are none, all. Nothing may be added from now on."""
        part = self._parts.get(None)
        return self._total(None) if part is None else part.moments()

    def everything(self) -> Moments:
        """All."""
        return self._total(self.fitted) if None in self._parts else self.fitted

    def _total(self, start: Moments | None) -> Moments:
        rows = [part for part in self.kinds if isinstance(part, Rows)]
        parts: list[Rows | Moments] = [part for part in self.kinds if isinstance(part, Moments)]
        parts += [joined(rows)] if rows else []
        made = parts.pop(0).moments() if start is None else start
        made = made.copied()
        for part in parts:
            made.add(part)
        return made
