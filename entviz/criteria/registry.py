"""The registry of criteria by name. A new criterion adds one line here."""

from __future__ import annotations

from typing import Any

from entviz.criteria.angular import AngularDistance
from entviz.criteria.baselines import Last, Random
from entviz.criteria.cosine import BlockInfluence, Cosine
from entviz.criteria.criterion import Criterion
from entviz.criteria.entropy import EntroDrop
from entviz.criteria.greedy import GreedyByDivergence, GreedyByLoss
from entviz.criteria.ising import Ising
from entviz.criteria.leave_one_out import LeaveOneOut
from entviz.criteria.ranking import kinds_of
from entviz.criteria.search import Search
from entviz.errors import OptionError
from entviz.registry import Registry

CRITERIA: Registry[type[Criterion]] = Registry(
    "a criterion",
    (
        EntroDrop,
        Cosine,
        BlockInfluence,
        AngularDistance,
        LeaveOneOut,
        GreedyByLoss,
        GreedyByDivergence,
        Ising,
        Last,
        Random,
        Search,
    ),
)


def known(name: str) -> type[Criterion]:
    """The criterion of that name; raises ``OptionError`` if there is none."""
    return CRITERIA[name]


def criterion(name: str, **options: Any) -> Criterion:
    """The criterion of that name with its options.

    Raises ``OptionError`` for an unknown name, an option that it does not have, or a value that it does not take.
    """
    kind = known(name)
    for option in options:
        if option not in kind.options():
            owners = [other.name for other in CRITERIA.values() if option in other.options()]
            hint = f": it is for {' and '.join(owners)}" if owners else ""
            raise OptionError(f"{name} has no option '{option[:40]}'{hint}. Leave it out.")
    return kind(**options)


def level_of(criterion: Criterion, level: str | None) -> str:
    """The level to rank at: the given level, or the criterion's own if none is given.

    Raises ``BlockError`` for an unknown level, and ``OptionError`` for a level that the criterion does not support.
    """
    wanted = criterion.level if level is None else level
    kinds_of(wanted)
    if wanted not in criterion.levels:
        raise OptionError(f"{criterion.name} works at level {', '.join(criterion.levels)}, not {wanted}.")
    return wanted
