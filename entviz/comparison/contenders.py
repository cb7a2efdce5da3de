"""Who takes part in a comparison: a criterion, at a level, with what it needs besides.

    entries, notes = contenders(["entrodrop:knn", "cosine", "random"], ["attn"], seeds=3)
    [entry.title for entry in entries]       # ["EntroDrop (KNN)", "Cosine", "Random", "Random", "Random"]

Names are those of :data:`entviz.pruning.catalog.CRITERIA`; ``entrodrop`` takes the estimator after a colon, and after
another one a variant: ``entrodrop:knn:stage-2`` drops only blocks after the turning point, and
``entrodrop:knn:unprotected`` may drop any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from entviz.errors import OptionError
from entviz.pruning.catalog import CRITERIA
from entviz.pruning.ranking import kinds_of

ESTIMATORS = {"bucket": "Bucket", "knn": "KNN", "renyi": "Rényi", "matrix": "Matrix"}
# Of entrodrop: the arguments of entviz.pruning.choose.choose that make each.
VARIANTS: dict[str, dict[str, Any]] = {
    "stage-2": {"stage": 2},
    "unprotected": {"protect": (0, 0)},
}
_VARIANT_TITLES = {"stage-2": ", stage 2", "unprotected": ", unprotected"}
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
    """A criterion at a level. ``estimator`` and ``variant`` are entrodrop's, ``seed`` random's; else empty or 0."""

    criterion: str
    level: str
    estimator: str = ""
    seed: int = 0
    variant: str = ""

    @property
    def name(self) -> str:
        """As it is written: ``entrodrop:knn``, ``cosine``."""
        return ":".join(part for part in (self.criterion, self.estimator, self.variant) if part)

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
    criterion, _, rest = name.partition(":")
    estimator, _, variant = rest.partition(":")
    if criterion == "entrodrop":
        return f"EntroDrop ({ESTIMATORS.get(estimator, estimator)}{_VARIANT_TITLES.get(variant, '')})"
    return TITLES.get(criterion, criterion)


def contenders(
    names: Sequence[str], levels: Sequence[str] = (), *, seeds: int = 3
) -> tuple[list[Contender], list[str]]:
    """Every named criterion at every level where it makes sense, and a sentence about each that was left out.

    Args:
        names: some of :data:`NAMES`, those of entrodrop also with one of :data:`VARIANTS`; ``entrodrop`` alone means
            the k-nearest-neighbour estimator.
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
        criterion, _, rest = name.partition(":")
        estimator, colon, variant = rest.partition(":")
        if name == "entrodrop":
            estimator = "knn"
        plain = f"{criterion}:{estimator}" if estimator else criterion
        if plain not in NAMES or (colon and (criterion != "entrodrop" or variant not in VARIANTS)):
            raise OptionError(f"'{name[:60]}' is not a criterion: choose from {', '.join(NAMES)}.")
        for level in levels or [CRITERIA[criterion].level]:
            if level not in CRITERIA[criterion].levels:
                known = ", ".join(CRITERIA[criterion].levels)
                notes.append(
                    f"{title(name)} is left out at level {level}: it makes sense at level {known} only."
                )
                continue
            repeats = range(seeds if criterion == "random" else 1)
            found += [Contender(criterion, level, estimator, seed, variant) for seed in repeats]
    if not found:
        raise OptionError("Nothing to compare: choose at least one criterion that has the level asked for.")
    return list(dict.fromkeys(found)), notes
