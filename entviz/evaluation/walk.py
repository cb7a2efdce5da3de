"""The walk of one batch of windows down the tree of prune sets, depth first.

    walk = Walk(anatomy, calls, tick, cache, text.key)
    for places, hidden in walk.leaves(0, hidden, list(enumerate(prune_sets))):
        ...                                  # what leaves the last layer without the prune sets at these places

Prune sets that agree on the first layers share a branch there: a layer is run once for all of them, and at most one
state for each level of the tree is in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Protocol

from torch import Tensor

from entviz.blocks import PruneSet
from entviz.decoder.anatomy import Anatomy
from entviz.decoder.splitting import Call
from entviz.decoder.states import StateCache, prefix_key

Kept = tuple[bool, bool]  # whether the attention of a layer is kept, and whether its MLP is
_ALL, _ATTENTION = (True, True), (True, False)


class Mender(Protocol):
    """What puts the stream right after a hole; see :class:`entviz.evaluation.biases.Biases`."""

    @property
    def key(self) -> Hashable: ...

    def mended(self, position: int, hidden: Tensor, drop: PruneSet) -> Tensor:
        """Hidden states (windows, tokens, width) after a hole that ends when ``position`` blocks were passed."""
        ...


class Walk:
    """Runs the layers of prune sets that are walked together.

    Args:
        calls: the arguments of each layer, from ``anatomy.begin``.
        tick: called before each layer of each branch; it can raise to stop.
        cache: states to start from; those that several sets share are added.
        text: identifies the model, the number type and the token ids in the cache.
        mender: what puts the stream right after each hole; None for nothing.
    """

    def __init__(
        self,
        anatomy: Anatomy,
        calls: Sequence[Call],
        tick: Callable[[], None],
        cache: StateCache,
        text: Hashable,
        mender: Mender | None = None,
    ) -> None:
        self.anatomy, self.calls, self.tick = anatomy, calls, tick
        self.cache, self.text, self.mender = cache, text, mender

    def leaves(
        self, layer: int, hidden: Tensor, group: list[tuple[int, PruneSet]]
    ) -> Iterator[tuple[list[int], Tensor]]:
        """The indices of the prune sets at each leaf, with the leaf's hidden states after the last layer."""
        for i in range(layer, self.anatomy.layers):
            branches: dict[Kept, list[tuple[int, PruneSet]]] = {}
            for member in group:
                kept = (i not in member[1].attention, i not in member[1].mlp)
                branches.setdefault(kept, []).append(member)
            self.tick()
            states = self._known(i + 1, branches)
            wanted = {kept: members[0][1] for kept, members in branches.items() if kept not in states}
            states |= self._states(i, hidden, wanted)
            self._keep(i + 1, branches, states)
            # The largest branch goes on in this loop, so that recursion is shallow: it is as deep as sets differ.
            last = max(branches, key=lambda kept: len(branches[kept]))
            for kept, members in branches.items():
                if kept != last:
                    yield from self.leaves(i + 1, states.pop(kept), members)
            hidden, group = states[last], branches[last]
        yield [place for place, _ in group], self._before(self.anatomy.layers, hidden, group[0][1])

    def _key(self, drop: PruneSet, layer: int) -> Hashable:
        mended = self.mender is not None and any(block.index < layer for block in drop)
        text = (self.text, self.mender.key) if mended and self.mender is not None else self.text
        return prefix_key(text, drop, layer)

    def _known(self, layer: int, branches: Mapping[Kept, list[tuple[int, PruneSet]]]) -> dict[Kept, Tensor]:
        """The input of ``layer`` from the cache, if an earlier call stored it. All sets of a branch share it."""
        found = {kept: self.cache.get(self._key(members[0][1], layer)) for kept, members in branches.items()}
        return {kept: hidden for kept, hidden in found.items() if hidden is not None}

    def _keep(
        self,
        layer: int,
        branches: Mapping[Kept, list[tuple[int, PruneSet]]],
        states: Mapping[Kept, Tensor],
    ) -> None:
        """Store the states that several sets share, because the sets of the next call often share them too."""
        for kept, members in branches.items():
            if len(members) > 1:
                self.cache.put(self._key(members[0][1], layer), states[kept])

    def _states(self, i: int, hidden: Tensor, wanted: Mapping[Kept, PruneSet]) -> dict[Kept, Tensor]:
        """Hidden states after layer ``i`` for each requested pair of (attention kept, MLP kept).

        ``wanted`` has a prune set with each: all of them are the same before layer ``i``.
        """
        if not wanted:
            return {}
        step, call = self.anatomy.split_layers[i], self.calls[i]
        states: dict[Kept, Tensor] = {}
        entering = hidden
        if any(attention or (mlp and step.parallel) for attention, mlp in wanted):
            entering = self._before(i, hidden, next(iter(wanted.values())))
        if {_ALL, _ATTENTION} <= set(wanted):  # the attention is computed once for both branches
            states[_ATTENTION], states[_ALL] = step.trace(entering, call)
        for kept, drop in wanted.items():
            if kept in states:
                continue
            attention, mlp = kept
            if not attention and not mlp:
                states[kept] = hidden  # the hole goes on
            elif attention or step.parallel or self.mender is None:
                states[kept] = step.run(entering, call, attention=attention, mlp=mlp)
            else:
                # A hole that the attention ends with is mended before the MLP; what was missing before is part of it.
                states[kept] = step.run(
                    self.mender.mended(2 * i + 1, hidden, drop), call, attention=False, mlp=True
                )
        return states

    def _before(self, i: int, hidden: Tensor, drop: PruneSet) -> Tensor:
        """The input of layer ``i`` with what puts it right if a hole ends there."""
        if self.mender is None or not i:
            return hidden
        parallel = self.anatomy.split_layers[i - 1].parallel
        ends = i - 1 in drop.mlp or (parallel and i - 1 in drop.attention)
        return self.mender.mended(2 * i, hidden, drop) if ends else hidden
