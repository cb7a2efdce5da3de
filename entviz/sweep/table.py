"""The table of a sweep: a row for each cell, with its numbers, or why it has none.

table = SweepTable.of(cells)
table.put(Row(cell, DONE, {"perplexity": 25.1}))
table.frame()                           # a pandas table
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from entviz.sweep.cells import Cell

if TYPE_CHECKING:
    import pandas as pd

MISSING, DONE, FAILED = "missing", "done", "failed"
NUMBERS = (
    *("drop", "perplexity", "dense_perplexity", "nll", "kl", "top1_agreement"),
    *("plain_perplexity", "recovered", "accuracy", "accuracy_normalized", "chance"),
)
_NAMES = ("model", "criterion", "level", "budget", "repair", "on", "state")


@dataclass(frozen=True)
class Row:
    """A cell, its state, and its numbers by name; a failed one has a reason.

    Attributes:
        known: whether the numbers were stored before this sweep asked.
    """

    cell: Cell
    state: str = MISSING
    numbers: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    known: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        reason = {"reason": self.reason} if self.reason else {}
        return self.cell.to_json() | {"state": self.state} | dict(self.numbers) | reason


class SweepTable:
    """The rows of all cells, in the cells' order."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = {row.cell: row for row in rows}

    @classmethod
    def of(cls, cells: Iterable[Cell]) -> SweepTable:
        """A table in which every cell is missing."""
        return cls(Row(cell) for cell in cells)

    @property
    def rows(self) -> list[Row]:
        return list(self._rows.values())

    @property
    def missing(self) -> list[Cell]:
        """The cells without numbers, those that failed included."""
        return [row.cell for row in self._rows.values() if row.state != DONE]

    def counts(self) -> dict[str, int]:
        """How many cells are done, failed and missing."""
        found = Counter(row.state for row in self._rows.values())
        return {state: found[state] for state in (DONE, FAILED, MISSING)}

    def put(self, row: Row) -> None:
        """Replace a cell's row."""
        self._rows[row.cell] = row

    def to_json(self) -> dict[str, Any]:
        """Plain data: counts of the states, and the rows."""
        return {"cells": self.counts(), "rows": [row.to_json() for row in self.rows]}

    def frame(self) -> pd.DataFrame:
        """The rows as :func:`frame_of` gives them."""
        return frame_of([row.to_json() for row in self.rows])


def frame_of(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of :meth:`Row.to_json` as a table. Columns: what a cell is, its state, those numbers that some cell has, and
    the reason if a cell failed.
    """
    import pandas as pd

    found = pd.DataFrame(list(rows))
    columns = [name for name in (*NUMBERS, "reason") if name in found.columns and found[name].notna().any()]
    return found.reindex(columns=[*_NAMES, *columns])
