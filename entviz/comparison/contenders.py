"""Who takes part in a comparison: a criterion, at a level, with what it needs besides.

    entries, notes = contenders(["entrodrop:knn", "cosine", "random"], ["attn"], seeds=3)
    [entry.title for entry in entries]       # ["EntroDrop (KNN)", "Cosine", "Random", "Random", "Random"]

Names are those of :data:`entviz.pruning.catalog.CRITERIA`; ``entrodrop`` takes the estimator after a colon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from entviz.errors import OptionError
from entviz.pruning.catalog import CRITERIA
from entviz.pruning.ranking import kinds_of

ESTIMATORS = {"bucket": "Bucket", "knn": "KNN", "renyi": "Rényi", "matrix": "Matrix"}
NAMES = (*(f"entrodrop:{estimator}" for estimator in ESTIMATORS), *(n for n in CRITERIA if n != "entrodrop"))
MOST_SEEDS = 50
TITLES = {
    "cosine": "Cosine",
    "block-influence": "Block Influence",
    "angular-distance": "Angular distance",
    "leave-one-out": "Leave-one-out",
    "sleb": "Greedy by loss",
    "finercut": "Greedy by divergence",
    "last": "Last",
    "random": "Random",
    "search": "Search",
}


@dataclass(frozen=True)
class Contender:
    """A criterion at a level. ``estimator`` is entrodrop's, ``seed`` random's; both are empty or 0 for the others."""

    criterion: str
    level: str
    estimator: str = ""
    seed: int = 0

    @property
    def name(self) -> str:
        """As it is written: ``entrodrop:knn``, ``cosine``."""
        return f"{self.criterion}:{self.estimator}" if self.estimator else self.criterion

    @property
    def title(self) -> str:
        """As it is shown: ``EntroDrop (KNN)``."""
        return title(self.name)

    @property
    def tries(self) -> bool:
        """Whether it runs the model without blocks, which takes much longer than measuring."""
        return CRITERIA[self.criterion].tries

    @property
    def by_order(self) -> bool:
        """Whether its prune set for a budget is the start of that for a larger one."""
        return self.criterion not in ("angular-distance", "search")


def title(name: str) -> str:
    """The title of a contender's name."""
    criterion, _, estimator = name.partition(":")
    if criterion == "entrodrop":
        return f"EntroDrop ({ESTIMATORS.get(estimator, estimator)})"
    return TITLES.get(criterion, criterion)


def contenders(
    names: Sequence[str], levels: Sequence[str] = (), *, seeds: int = 3
) -> tuple[list[Contender], list[str]]:
    """Every named criterion at every level where it makes sense, and a sentence about each that was left out.

    Args:
        names: some of :data:`NAMES`; ``entrodrop`` alone means the k-nearest-neighbour estimator.
        levels: layer, attn, mlp, attn+mlp; empty for each criterion's own.
        seeds: random takes part so many times.

    Raises:
        OptionError: for an unknown criterion or estimator, or where nobody would take part.
        BlockError: for an unknown level.
    """
    if not 1 <= seeds <= MOST_SEEDS:
        raise OptionError(f"Ask for 1 to {MOST_SEEDS} random prune sets, not {seeds}.")
    for level in levels:
        kinds_of(level)
    found: list[Contender] = []
    notes: list[str] = []
    for name in dict.fromkeys(names):
        criterion, colon, estimator = name.partition(":")
        if criterion == "entrodrop":
            estimator = estimator if colon else "knn"
        if criterion not in CRITERIA or (estimator and f"{criterion}:{estimator}" not in NAMES):
            raise OptionError(f"'{name[:60]}' is not a criterion: choose from {', '.join(NAMES)}.")
        for level in levels or [CRITERIA[criterion].level]:
            if level not in CRITERIA[criterion].levels:
                known = ", ".join(CRITERIA[criterion].levels)
                notes.append(
                    f"{title(name)} is left out at level {level}: it makes sense at level {known} only."
                )
                continue
            repeats = range(seeds if criterion == "random" else 1)
            found += [Contender(criterion, level, estimator, seed) for seed in repeats]
    if not found:
        raise OptionError("Nothing to compare: choose at least one criterion that has the level asked for.")
    return list(dict.fromkeys(found)), notes
