"""What the store holds of a sweep as a whole, beside the results of its cells."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SweepRecord:
    """How far a sweep is. The list of runs holds its rows, in the summary, which is read without opening the result.

    Attributes:
        name: what lists call it.
        done, failed, missing: numbers of cells.
    """

    name: str
    done: int
    failed: int
    missing: int
