"""The contenders of a comparison: each is a criterion at a level, with its options.

    entries, notes = contenders(["entrodrop:knn", "cosine", "random"], ["attn"], seeds=3)
    [entry.title for entry in entries]       # ["EntroDrop (KNN)", "Cosine", "Random", "Random", "Random"]

Names are those of :data:`entviz.criteria.CRITERIA`. The estimator of ``entrodrop`` follows after a colon, if needed
with options (``entrodrop:knn(k=5)``), and a variant after another colon: ``entrodrop:knn:stage-2`` drops only blocks
after the turning point, and ``entrodrop:knn:unprotected`` can drop any block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from entviz.criteria import CRITERIA, Criterion, EntroDrop
from entviz.criteria.baselines import Random
from entviz.criteria.cosine import Cosine
from entviz.criteria.ranking import kinds_of
from entviz.errors import OptionError
from entviz.estimators import default_entropies, entropies, is_entropy
from entviz.words.metrics import metric_title

# Of those with an estimator: further options, and which layers are protected.
VARIANTS: dict[str, dict[str, Any]] = {"stage-2": {"stage": 2}, "unprotected": {}}
_VARIANT_TITLES = {"": "", "stage-2": ", stage 2", "unprotected": ", unprotected"}
MOST_SEEDS = 50


def names() -> tuple[str, ...]:
    """The names of all contenders: one for each criterion, or one for each entropy if it has an estimator."""
    return tuple(
        name
        for criterion in CRITERIA.values()
        for name in (
            [f"{criterion.name}:{estimator}" for estimator in entropies()]
            if "estimator" in criterion.options()
            else [criterion.name]
        )
    )


def usual() -> tuple[str, ...]:
    """The default contenders: the criteria that are quick because they only need an analysis, and random."""
    return (*(f"{EntroDrop.name}:{estimator}" for estimator in default_entropies()), Cosine.name, Random.name)


@dataclass(frozen=True)
class Contender:
    """A criterion at a level, under the name that the user gave.

    Attributes:
        criterion: the rule, with its options.
        level: layer, attn, mlp, or attn+mlp.
        variant: one of :data:`VARIANTS`, or empty.
    """

    criterion: Criterion
    level: str
    variant: str = ""

    @property
    def estimator(self) -> str:
        """The criterion's estimator; empty if it has none."""
        return str(getattr(self.criterion, "estimator", ""))

    @property
    def seed(self) -> int:
        """The criterion's seed; 0 if it has none."""
        return int(getattr(self.criterion, "seed", 0))

    @property
    def name(self) -> str:
        """Its name in the shell: ``entrodrop:knn``, ``cosine``."""
        return ":".join(part for part in (self.criterion.name, self.estimator, self.variant) if part)

    @property
    def title(self) -> str:
        """Its name for a reader: ``EntroDrop (KNN)``."""
        return title(self.name)

    @property
    def protect(self) -> tuple[int, int]:
        """How many layers at the start and at the end are never dropped."""
        return (0, 0) if self.variant == "unprotected" else self.criterion.protection


def title(name: str) -> str:
    """The title of a contender's name."""
    criterion, _, rest = name.partition(":")
    estimator, _, variant = rest.partition(":")
    known = CRITERIA[criterion].short_title if criterion in CRITERIA else criterion
    if not estimator:
        return known
    return f"{known} ({metric_title(estimator)}{_VARIANT_TITLES.get(variant, '')})"


def contenders(
    names: Sequence[str], levels: Sequence[str] = (), *, seeds: int = 3, seconds: float | None = None
) -> tuple[list[Contender], list[str]]:
    """Every named criterion at every level that it supports, and a sentence about each one that was left out.

    Args:
        names: some of :func:`names`, if they have an estimator also with one of :data:`VARIANTS`; ``entrodrop`` alone
            means the k-nearest-neighbour estimator.
        levels: layer, attn, mlp, attn+mlp; empty for each criterion's own.
        seeds: the number of contenders for a random criterion, each with its own seed.
        seconds: the time for each budget of a criterion that runs for a given time; None for its default time.

    Raises:
        OptionError: for an unknown criterion or estimator, or if no contender is left.
        BlockError: for an unknown level.
    """
    if not 1 <= seeds <= MOST_SEEDS:
        raise OptionError(f"Ask for 1 to {MOST_SEEDS} random prune sets, not {seeds}.")
    for level in levels:
        kinds_of(level)
    found: list[Contender] = []
    notes: list[str] = []
    for name in dict.fromkeys(names):
        entry = _entry(name)
        if seconds is not None:
            entry = replace(entry, criterion=entry.criterion.with_options(seconds=seconds))
        for level in levels or [entry.criterion.level]:
            if level not in entry.criterion.levels:
                known = ", ".join(entry.criterion.levels)
                notes.append(
                    f"{entry.title} is left out at level {level}: it makes sense at level {known} only."
                )
                continue
            drawn = [entry.criterion.with_options(seed=seed) for seed in range(seeds)]
            found += [replace(entry, criterion=criterion, level=level) for criterion in drawn]
    if not found:
        raise OptionError("Nothing to compare: choose at least one criterion that has the level asked for.")
    return list(dict.fromkeys(found)), notes


def canonical(name: str) -> str:
    """The name with its estimator's options in canonical form, as in keys; raises ``OptionError`` for unknown names."""
    return _entry(name).name if ":" in name else name


def timed(names: Sequence[str]) -> bool:
    """Whether one of these names belongs to a criterion that runs for a given time."""
    return any("seconds" in CRITERIA[name].options() for name in names if name in CRITERIA)


def _entry(name: str) -> Contender:
    word, _, rest = name.partition(":")
    estimator, colon, variant = rest.partition(":")
    unknown = CRITERIA.unknown(name, names())
    if word not in CRITERIA:
        raise unknown
    kind = CRITERIA[word]
    options: dict[str, Any] = {}
    if "estimator" in kind.options():
        if (rest and not is_entropy(estimator)) or (colon and variant not in VARIANTS):
            raise unknown
        options = ({"estimator": estimator} if estimator else {}) | VARIANTS.get(variant, {})
    elif ":" in name:
        raise unknown
    return Contender(kind(**options), kind.level, variant)
