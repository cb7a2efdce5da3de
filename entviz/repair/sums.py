"""What a fit is made from at one place: the tokens that are fitted on together, and those that decide, by kind of text.

sums = Sums()
sums.add(rows, None)          # fitted on
sums.add(others, 2)           # of kind 2, which decide how large coefficients may be
sums.fitted().solve(1e-2)
sums.everything()             # all of them
"""

from __future__ import annotations

from entviz.repair.moments import Moments, Rows, total


class Sums:
    """Sums that grow with the number of unknowns and not with the text."""

    def __init__(self) -> None:
        self._parts: dict[int | None, Rows | Moments] = {}

    def add(self, rows: Rows, kind: int | None) -> None:
        """Add tokens of a kind of text, which is None for those that are fitted on whatever their kind."""
        known = self._parts.get(kind)
        if known is not None:
            self._parts[kind] = known.and_more(rows)
        else:
            self._parts[kind] = rows if kind is not None else rows.moments()

    @property
    def finite(self) -> bool:
        """Whether all numbers are."""
        return all(part.finite for part in self._parts.values())

    @property
    def kinds(self) -> list[Rows | Moments]:
        """Those that were added with a kind, by kind."""
        return [self._parts[kind] for kind in sorted(kind for kind in self._parts if kind is not None)]

    def fitted(self) -> Moments:
        """Those without a kind; if there are none, all."""
        part = self._parts.get(None)
        return self.everything() if part is None else part.moments()

    def everything(self) -> Moments:
        """All, in sums of their own."""
        return total(list(self._parts.values()))
