"""How much work measuring is, counted before it is done, in the units that :mod:`entviz.evaluation.pace` times.

work = of_many([PruneSet.parse("attn.7"), PruneSet.parse("attn.25")], layers=30, windows=20)
pace.seconds(work)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from entviz.blocks import PruneSet


@dataclass(frozen=True)
class Work:
    """What has to be run, counted in windows of one length.

    Attributes:
        attentions, mlps: windows times the attentions and the MLPs that they go through, many windows together.
        projections: windows whose predictions are made and compared with the dense model's.
        references: windows whose dense predictions are made.
        alone: passes of a single window through the whole dense model, as when a speed is timed.
        sites: windows times the sites whose hidden states are measured.
        seconds: what takes a stated time, whatever the model.
    """

    attentions: float = 0.0
    mlps: float = 0.0
    projections: float = 0.0
    references: float = 0.0
    alone: float = 0.0
    sites: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def __mul__(self, times: float) -> Work:
        return Work(*(getattr(self, each.name) * times for each in fields(self)))


NOTHING = Work()


def of_dense(layers: int, windows: int) -> Work:
    """The dense model's predictions, with which those of pruned ones are compared."""
    return Work(attentions=layers * windows, mlps=layers * windows, references=windows)


def of_many(prune_sets: Sequence[PruneSet], layers: int, windows: int, *, begun: bool = True) -> Work:
    """What :func:`entviz.evaluation.many.evaluate_many` runs for these sets, the dense predictions not included.

    Args:
        begun: whether the dense model's hidden states are known at each layer, so that a set costs nothing before its
            first dropped block.
    """
    attentions = mlps = 0
    ways: dict[tuple[tuple[bool, bool], ...], set[tuple[bool, bool]]] = {}
    for drop in set(prune_sets):
        way = tuple((i not in drop.attention, i not in drop.mlp) for i in range(layers))
        for i in range(layers):
            if begun and all(all(kept) for kept in way[: i + 1]):
                continue
            ways.setdefault(way[:i], set()).add(way[i])
    for (
        kept
    ) in ways.values():  # of what branches off at one place, the attention is run once for all that have it
        whole, attention_only, mlp_only = ((True, True) in kept, (True, False) in kept, (False, True) in kept)
        attentions += whole or attention_only
        mlps += whole + mlp_only
    return Work(
        attentions=attentions * windows,
        mlps=mlps * windows,
        projections=len(set(prune_sets) - {PruneSet()}) * windows,
    )
