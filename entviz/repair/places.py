"""Where a repair can be made: the holes that a prune set leaves in the order of blocks, and the block before each.

    way = Way(anatomy, PruneSet.parse("attn.5,layer.7"))
    way.holes                                # runs of dropped blocks

A position p is a place in the residual stream: p blocks have been passed. Position 0 is what enters layer 0, and the
last is what leaves the last layer. In a parallel layer attention and MLP read the same stream, so that only the ends of
layers are positions, and a kept block of a layer counts as being before a dropped one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from entviz.blocks import Block, PruneSet

if TYPE_CHECKING:
    from entviz.decoder.anatomy import Anatomy


@dataclass(frozen=True)
class Place:
    """Where the stream is put right.

    Attributes:
        start: the position that the stream is taken at.
        end: the position at which it should be the dense model's.
        block: the block that is changed or substituted; None where the stream itself is corrected.
        hole: the dropped blocks that are made up for; empty if none are dropped between ``block`` and ``end``.
    """

    start: int
    end: int
    block: Block | None
    hole: tuple[Block, ...] = ()

    @property
    def site(self) -> str:
        """The site at ``end``."""
        return site_at(self.end)

    @property
    def changed(self) -> Block:
        """The block that is changed; raises ``ValueError`` where there is none."""
        if self.block is None:
            raise ValueError(f"no block is changed at {self}")
        return self.block

    def __str__(self) -> str:
        return str(self.block) if self.block is not None else f"the stream at {self.site}"


@dataclass(frozen=True, eq=False)
class Way:
    """The blocks of a model in the order in which the stream passes them, with a prune set."""

    anatomy: Anatomy
    drop: PruneSet

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """All attentions and MLPs, in order."""
        return tuple(self._ordered())

    def dropped(self, block: Block) -> bool:
        return block in self.drop

    def dropped_before(self, position: int) -> PruneSet:
        """What is dropped of the first ``position`` blocks."""
        return PruneSet(block for block in self.blocks[:position] if self.dropped(block))

    def start_of(self, index: int) -> int:
        """The position of the stream that block number ``index`` reads."""
        return index - index % 2 if self._parallel(self.blocks[index]) else index

    def end_of(self, index: int) -> int:
        """The first position where what block number ``index`` adds is in the stream."""
        return index + 1 + (1 - index % 2 if self._parallel(self.blocks[index]) else 0)

    @property
    def holes(self) -> list[Place]:
        """Each run of dropped blocks, with the last kept block before it, or None for a run at the start."""
        found, index = [], 0
        while index < len(self.blocks):
            if not self.dropped(self.blocks[index]):
                index += 1
                continue
            first = index
            while index < len(self.blocks) and self.dropped(self.blocks[index]):
                index += 1
            before = self.blocks[first - 1] if first else None
            start = self.start_of(first - 1) if first else 0
            found.append(Place(start, index, before, self.blocks[first:index]))
        return found

    @property
    def gaps(self) -> list[Place]:
        """A place for each dropped block, to put something there; for one of a parallel layer that is dropped whole."""
        places = []
        for index, block in enumerate(self.blocks):
            if not self.dropped(block):
                continue
            if self._parallel(block) and index % 2 == 0:  # the kept come first, so the other is dropped too
                continue
            places.append(Place(self.start_of(index), self.end_of(index), block, (block,)))
        return places

    @property
    def kept_after_first_hole(self) -> list[Place]:
        """The holes, and a place for each kept block behind the first of them that has no hole after it."""
        holes = self.holes
        if not holes:
            return []
        ends = {place.block: place for place in holes if place.block is not None}
        first = holes[0].end
        places = [holes[0]]
        for index, block in enumerate(self.blocks):
            if index < first or self.dropped(block):
                continue
            places.append(ends.get(block) or Place(self.start_of(index), self.end_of(index), block))
        return places

    def _ordered(self) -> Iterator[Block]:
        for i, step in enumerate(self.anatomy.split_layers):
            pair = [Block("attn", i), Block("mlp", i)]
            yield from sorted(pair, key=self.dropped) if step.parallel else pair

    def _parallel(self, block: Block) -> bool:
        return self.anatomy.split_layers[block.index].parallel


def site_at(position: int) -> str:
    """The name of the site at a position after the first block."""
    return f"attn.{position // 2}" if position % 2 else f"layer.{position // 2 - 1}"
