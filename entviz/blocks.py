"""The names of the parts of a decoder: blocks, prune sets and sites.

    block = Block.parse("attn.7")
    drop = PruneSet.parse("attn.5,layer.7")
    drop | PruneSet([block])                 # a prune set never changes; operations make new ones
    site_names(30)[:3]                       # ["embed", "attn.0", "layer.0"]

A *layer* is a whole transformer layer; *attn* and *mlp* are its two computation blocks. A *block* is any of the three.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from entviz.errors import BlockError

KINDS = ("layer", "attn", "mlp")
_BLOCK = re.compile(r"(layer|attn|mlp)\.([0-9]{1,6})")


@dataclass(frozen=True)
class Block:
    """A layer, or the attention or MLP of one, written ``layer.7``, ``attn.7``, ``mlp.7``. Sorts by depth."""

    kind: str
    index: int

    @classmethod
    def parse(cls, text: str) -> Block:
        """Read a block's name; raises ``BlockError`` if it is not one."""
        match = _BLOCK.fullmatch(text.strip())
        if match is None:
            raise BlockError(
                f"'{text.strip()[:40]}' is not a block: write layer.N, attn.N or mlp.N, N from 0."
            )
        return cls(match[1], int(match[2]))

    def __str__(self) -> str:
        return f"{self.kind}.{self.index}"

    def __lt__(self, other: Block) -> bool:
        return (self.index, KINDS.index(self.kind)) < (other.index, KINDS.index(other.kind))


class PruneSet:
    """An immutable set of blocks to drop. ``attn.7`` and ``mlp.7`` together are ``layer.7``, and compare equal to it.

    Iterating gives the blocks in canonical form, sorted by depth: if both blocks of a layer are dropped, the layer
    takes their place. ``str`` joins them with commas, and is empty for the dense model.
    """

    __slots__ = ("attention", "mlp")
    attention: frozenset[int]
    mlp: frozenset[int]

    def __init__(self, blocks: Iterable[Block] = ()) -> None:
        blocks = tuple(blocks)
        object.__setattr__(self, "attention", frozenset(b.index for b in blocks if b.kind != "mlp"))
        object.__setattr__(self, "mlp", frozenset(b.index for b in blocks if b.kind != "attn"))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a prune set cannot be changed; make a new one")

    def __reduce__(self) -> tuple[type[PruneSet], tuple[tuple[Block, ...]]]:
        return PruneSet, (tuple(self),)

    @classmethod
    def parse(cls, text: str) -> PruneSet:
        """Read comma- or space-separated block names; the empty text is the dense model.

        Raises ``BlockError`` naming the first word that is not a block.
        """
        return cls(Block.parse(word) for word in re.split(r"[\s,;]+", text.strip()) if word)

    def __iter__(self) -> Iterator[Block]:
        both = self.attention & self.mlp
        yield from sorted(
            [Block("layer", i) for i in both]
            + [Block("attn", i) for i in self.attention - both]
            + [Block("mlp", i) for i in self.mlp - both]
        )

    def __len__(self) -> int:
        return len(self.attention | self.mlp)

    def __contains__(self, block: Block) -> bool:
        return (block.kind == "mlp" or block.index in self.attention) and (
            block.kind == "attn" or block.index in self.mlp
        )

    def __or__(self, other: PruneSet) -> PruneSet:
        return PruneSet((*self, *other))

    def __sub__(self, other: PruneSet) -> PruneSet:
        return PruneSet(
            [Block("attn", i) for i in self.attention - other.attention]
            + [Block("mlp", i) for i in self.mlp - other.mlp]
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PruneSet) and (self.attention, self.mlp) == (other.attention, other.mlp)

    def __hash__(self) -> int:
        return hash((self.attention, self.mlp))

    def __str__(self) -> str:
        return ",".join(map(str, self))

    def __repr__(self) -> str:
        return f"PruneSet.parse({str(self)!r})"

    def leaves_something(self, layers: int) -> bool:
        """Whether a model of ``layers`` layers has a block that is not dropped."""
        return len(self.attention) < layers or len(self.mlp) < layers

    def check(self, layers: int) -> PruneSet:
        """Return this set if a model of ``layers`` layers can run without it.

        Raises ``BlockError`` for a block that the model does not have, or if no block would be left.
        """
        for block in self:
            if block.index >= layers:
                raise BlockError(f"{block} does not exist: the model's layers are 0 to {layers - 1}.")
        if not self.leaves_something(layers):
            raise BlockError(f"This drops all {layers} layers; keep at least one block.")
        return self


def all_blocks(layers: int, levels: Sequence[str] = KINDS) -> list[Block]:
    """Every block of a model of ``layers`` layers at the given levels, by depth."""
    return sorted(Block(kind, i) for i in range(layers) for kind in check_levels(levels))


def check_levels(levels: Sequence[str]) -> tuple[str, ...]:
    """Return ``levels`` if each is one of ``layer``, ``attn``, ``mlp``; raises ``BlockError`` otherwise."""
    for level in levels:
        if level not in KINDS:
            raise BlockError(f"'{level}' is not a level: choose from {', '.join(KINDS)}.")
    if not levels:
        raise BlockError(f"No level given: choose from {', '.join(KINDS)}.")
    return tuple(dict.fromkeys(levels))


def in_order_of_kind(levels: Sequence[str]) -> tuple[str, ...]:
    """The levels without repetition in a fixed order, so that the same choice is computed only once.

    Raises the errors of :func:`check_levels`.
    """
    return tuple(sorted(check_levels(levels), key=KINDS.index))


def site_names(layers: int) -> list[str]:
    """The 2L+1 points of the residual stream where hidden states are read: embed, then attn.i and layer.i."""
    return ["embed", *(f"{kind}.{i}" for i in range(layers) for kind in ("attn", "layer"))]


def sites_of(block: Block) -> tuple[str, str]:
    """The sites before and after a block in a sequential layer: its input and its output."""
    before = "embed" if block.index == 0 else f"layer.{block.index - 1}"
    middle, after = f"attn.{block.index}", f"layer.{block.index}"
    return {"layer": (before, after), "attn": (before, middle), "mlp": (middle, after)}[block.kind]
