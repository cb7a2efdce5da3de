"""The contenders of a comparison: each is a criterion at a level, with its options.

    entries, notes = contenders(["entrodrop:knn", "cosine", "random"], ["attn"], seeds=3)
    [entry.title for entry in entries]       # ["EntroDrop (KNN)", "Cosine", "Random", "Random", "Random"]

Names are written as :mod:`entviz.criteria.spec` has it: ``entrodrop`` takes the estimator after a colon, also with
options (``entrodrop:knn(k=5)``), and every criterion after further colons what can be switched on of it. So
``entrodrop:knn:stage-2`` drops only blocks after the turning point, ``cosine:iterative`` measures again after each
drop, and ``entrodrop:knn:iterative:stage-2`` does both. ``entrodrop:knn:unprotected`` may drop any layer.
``cosine:repaired=refit`` drops what ``cosine`` does, and is measured with a repair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from entviz.criteria import CRITERIA, Criterion, EntroDrop
from entviz.criteria.baselines import Random
from entviz.criteria.cosine import Cosine
from entviz.criteria.ranking import kinds_of
from entviz.criteria.spec import criterion_of, parts, spec_of
from entviz.criteria.switches import Switch, all_switches
from entviz.errors import OptionError
from entviz.estimators import default_entropies, entropies
from entviz.repair.registry import METHODS
from entviz.words.metrics import metric_title

# The protected layers belong to a contender, not to its criterion.
UNPROTECTED = Switch(
    "unprotected",
    False,
    True,
    "unprotected",
    "Without protected layers",
    "unprotected",
    "The authors' code never drops the first two layers and the last one; here any may go.",
)
MOST_SEEDS = 50
_REPAIRED = "repaired="
REPAIRS = {
    f"{_REPAIRED}{method.name}": Switch(
        "repair", "", method.name, f"{_REPAIRED}{method.name}", method.title, method.name, method.purpose
    )
    for method in METHODS.values()
}


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


def variants() -> dict[str, Switch]:
    """What can be switched on for some criterion, by its word in a name."""
    return all_switches(CRITERIA.values()) | {UNPROTECTED.word: UNPROTECTED} | REPAIRS


def with_variant(name: str, word: str) -> str | None:
    """The name with one of :func:`variants` switched on, in its canonical form; None if it has no such variant."""
    if word in variants_of(name) or word not in _words_for(parts(name)[0]):
        return None
    return canonical(f"{name}:{word}")


def with_repairs(names: Sequence[str], repairs: Sequence[str]) -> tuple[str, ...]:
    """The names, each followed by itself with each of some repairs; raises ``OptionError`` for an unknown repair."""
    words = [f"{_REPAIRED}{METHODS[repair].name}" for repair in repairs]
    found: list[str] = []
    for name in names:
        found.append(name)
        found += [other for word in words if (other := with_variant(name, word))]
    return tuple(dict.fromkeys(found))


def variants_of(name: str) -> tuple[str, ...]:
    """What follows the criterion and its estimator in a name."""
    return parts(name)[2]


def plain(name: str) -> str:
    """The name without what follows the criterion and its estimator."""
    criterion, estimator, _ = parts(name)
    return f"{criterion}:{estimator}" if estimator else criterion


def usual() -> tuple[str, ...]:
    """The default contenders: the criteria that are quick because they only need an analysis, and random."""
    return (*(f"{EntroDrop.name}:{estimator}" for estimator in default_entropies()), Cosine.name, Random.name)


@dataclass(frozen=True)
class Contender:
    """A criterion at a level, under the name that the user gave.

    Attributes:
        criterion: the rule, with its options.
        level: layer, attn, mlp, or attn+mlp.
        name: as it is written: ``entrodrop:knn``, ``cosine:iterative``.
        protect: how many layers at the start and at the end are left alone.
        repair: the name of the repair that its prune sets are measured with; empty for none.
    """

    criterion: Criterion
    level: str
    name: str
    protect: tuple[int, int]
    repair: str = ""

    @property
    def choosing(self) -> str:
        """Its name without the repair, which changes nothing of what it chooses."""
        return ":".join(part for part in self.name.split(":") if part not in REPAIRS)

    @property
    def estimator(self) -> str:
        """The criterion's estimator; empty if it has none."""
        return str(getattr(self.criterion, "estimator", ""))

    @property
    def seed(self) -> int:
        """The criterion's seed; 0 if it has none."""
        return int(getattr(self.criterion, "seed", 0))

    @property
    def title(self) -> str:
        """Its name for a reader: ``EntroDrop (KNN)``."""
        return title(self.name)


def title(name: str) -> str:
    """The title of a contender's name, which may be of another version and so unknown here."""
    criterion, estimator, words = parts(name)
    known = CRITERIA[criterion].short_title if criterion in CRITERIA else criterion
    said = [metric_title(estimator)] if estimator else []
    switches = variants()
    said += [switches[word].short if word in switches else word.replace("=", " = ") for word in words]
    return f"{known} ({', '.join(said)})" if said else known


def contenders(
    names: Sequence[str], levels: Sequence[str] = (), *, seeds: int = 3, seconds: float | None = None
) -> tuple[list[Contender], list[str]]:
    """Every named criterion at every level that it supports, and a sentence about each one that was left out.

    Args:
        names: some of :func:`names`, also with some of :func:`variants` and with other options after colons;
            ``entrodrop`` alone means the k-nearest-neighbour estimator.
        levels: layer, attn, mlp, attn+mlp; empty for each criterion's own.
        seeds: the number of contenders for a random criterion, each with its own seed, unless its name gives the seed.
        seconds: the time for each budget of a criterion that runs for a given time, unless its name gives it; None for
            its default time.

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
        given = {word.partition("=")[0] for word in variants_of(entry.name)}
        if seconds is not None and "seconds" not in given:
            entry = replace(entry, criterion=entry.criterion.with_options(seconds=seconds))
        for level in levels or [entry.criterion.level]:
            if level not in entry.criterion.levels:
                known = ", ".join(entry.criterion.levels)
                notes.append(
                    f"{entry.title} is left out at level {level}: it makes sense at level {known} only."
                )
                continue
            drawn = [entry.criterion.with_options(seed=seed) for seed in range(seeds)]
            drawn = [entry.criterion] if "seed" in given else drawn
            found += [replace(entry, criterion=criterion, level=level) for criterion in drawn]
    if not found:
        raise OptionError(
            "Nothing to compare: choose at least one criterion that can rank blocks of this level."
        )
    return list(dict.fromkeys(found)), notes


def canonical(name: str) -> str:
    """The name with its estimator's options in canonical form, as in keys; raises ``OptionError`` for unknown names."""
    return _entry(name).name if ":" in name else name


def timed(names: Sequence[str]) -> bool:
    """Whether one of these names belongs to a criterion that runs for a given time."""
    kinds = [CRITERIA.get(parts(name)[0]) for name in names]
    return any(kind is not None and "seconds" in kind.options() for kind in kinds)


def _entry(name: str) -> Contender:
    word = parts(name)[0]
    if word not in CRITERIA:
        raise CRITERIA.unknown(name, names())
    criterion, more = criterion_of(name, also=_of_contender(word))
    spec = ":".join([spec_of(criterion), *more])
    protect = (0, 0) if UNPROTECTED.word in more else criterion.protection
    repairs = [word for word in more if word in REPAIRS]
    if len(repairs) > 1:
        raise OptionError(
            f"'{name}' names more than one repair: write a contender for each, or name them by --repairs."
        )
    return Contender(criterion, criterion.level, spec, protect, "".join(repairs).removeprefix(_REPAIRED))


def _of_contender(criterion: str) -> tuple[str, ...]:
    """The words that a contender takes beside its criterion's options: the repairs, and not to protect layers."""
    return (*((UNPROTECTED.word,) if any(CRITERIA[criterion].protection) else ()), *REPAIRS)


def _words_for(criterion: str) -> tuple[str, ...]:
    kind = CRITERIA.get(criterion)
    return () if kind is None else (*all_switches([kind]), *_of_contender(criterion))
