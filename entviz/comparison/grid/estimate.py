"""How long a comparison takes, told before it is started.

    estimate(loaded, calibration, measured, ["cosine"], ["8"]).in_words()    # "about 20 seconds"

It is counted by :mod:`entviz.comparison.grid.plan` and timed by :mod:`entviz.evaluation.pace`.
"""

from __future__ import annotations

from dataclasses import dataclass

from entviz.words.phrases import counted, duration


@dataclass(frozen=True)
class Estimate:
    """How much there is to do.

    Attributes:
        prune_sets: how many rows the comparison has.
        seconds: how long it takes here and now; 0 where all of it is known.
    """

    prune_sets: int
    seconds: float

    def in_words(self) -> str:
        """The same for a reader."""
        sets = counted(self.prune_sets, "prune set")
        if not self.seconds:
            return f"{sets}, all of them known"
        return f"{sets}, {duration(self.seconds)} on this machine as busy as it is now"
