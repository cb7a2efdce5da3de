"""What a search finds, and how its best sets are measured again at the end."""

from __future__ import annotations

from dataclasses import dataclass

from entviz.blocks import PruneSet


@dataclass(frozen=True)
class SearchResult:
    """The best prune set of a search so far.

    Attributes:
        drop: the prune set.
        cost: its mean cost (nats a token) over the windows it was tried on; over all windows once the search has ended.
        stage: the stage that found it: seeds, greedy, swaps or beam.
        evaluated: the number of runs so far, counted as prune sets times windows.
        seconds: how long the search took.
    """

    drop: PruneSet
    cost: float
    stage: str
    evaluated: int
    seconds: float


@dataclass(frozen=True)
class Finals:
    """How the best sets are measured again at the end.

    Attributes:
        most: how many of them.
        share: the share of the time that is kept for it.
    """

    most: int = 3
    share: float = 0.15
