"""Which dropped block costs which token: each dropped block put back alone, and the loss of every token then.

    found = token_damages(loaded, windows, PruneSet.parse("attn.5,attn.7,mlp.20"))
    found.of("attn.7")                  # (windows, tokens - 1): what dropping attn.7 costs each scored token, nats
    found.at(0, 17)                     # what each block costs one token, the dearest first

A block's cost to a token is the token's loss with the prune set, less that with this block put back: what keeping the
block would save. Costs of blocks do not add up to the set's, as blocks interact. A block put back changes only the
layers from its own on, so the hidden states before it are those of the prune set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from entviz.blocks import Block, PruneSet
from entviz.decoder.precision import resolved
from entviz.decoder.states import StateCache
from entviz.errors import ModelError, OptionError
from entviz.evaluation.loss import evaluate
from entviz.models.loaded import LoadedModel
from entviz.models.notes import noted, notes_on
from entviz.part_cache import NoPartCache, PartCache
from entviz.progress import Progress, part, silent
from entviz.text.windows import Windows

MOST_BLOCKS = 60
PART = "token losses"  # what a part is stored as


@dataclass(frozen=True, eq=False)
class TokenLosses:
    """The loss of each scored token without one prune set, (windows, tokens - 1), nats; None where it overflows."""

    drop: PruneSet
    nll: np.ndarray | None


@dataclass(frozen=True, eq=False)
class TokenDamages:
    """What :func:`token_damages` found, so far. N dropped blocks, W windows of S tokens.

    Attributes:
        model: the name the model was loaded by.
        drop: the prune set.
        blocks: its N blocks, by depth.
        token_ids: (W, S) the windows, without what begins them.
        token_nll: (W, S-1) loss of each scored token without the prune set, nats.
        costs: (N, W, S-1) what dropping each block costs each token, nats; it can be negative. Not numbers for blocks
            that are not measured yet, and for those with which the model overflows.
        overflowing: the blocks with which, put back alone, the model's numbers are not finite, by name.
        dtype: the number type the model ran in.
        notes: sentences about how the text was read.
    """

    model: str
    drop: PruneSet
    blocks: tuple[str, ...]
    token_ids: np.ndarray
    token_nll: np.ndarray
    costs: np.ndarray
    overflowing: tuple[str, ...]
    dtype: str
    notes: tuple[str, ...] = ()

    @property
    def windows(self) -> int:
        """How many windows there are."""
        return len(self.token_ids)

    @property
    def window_length(self) -> int:
        """Tokens of the text in each window."""
        return int(self.token_ids.shape[1])

    @property
    def measured(self) -> tuple[str, ...]:
        """The blocks that are measured, by depth."""
        known = ~np.isnan(self.costs).any(axis=(1, 2))
        return tuple(block for block, is_known in zip(self.blocks, known, strict=True) if is_known)

    def of(self, block: str) -> np.ndarray:
        """(W, S-1) what dropping a block costs each token, nats. Raises ``OptionError`` for one that is not dropped."""
        if block not in self.blocks:
            raise OptionError(
                f"'{block}' is none of the dropped blocks: choose from {', '.join(self.blocks)}."
            )
        return np.asarray(self.costs[self.blocks.index(block)])

    def at(self, window: int, position: int) -> pd.DataFrame:
        """A row for each block that is measured, the dearest first: block, cost (nats).

        ``window`` counts from 0, and ``position`` from 1: a window's token 0 has no loss.
        """
        costs = pd.Series(self.costs[:, window, position - 1], index=self.blocks)[list(self.measured)]
        return costs.sort_values(ascending=False).rename_axis("block").rename("cost").reset_index()

    def table(self) -> pd.DataFrame:
        """A row for each block that is measured, by depth: block, cost (mean over tokens, nats a token), worst (the
        largest cost to one token, nats), window and position of that token (from 1).
        """
        rows = []
        for block in self.measured:
            costs = self.of(block)
            window, place = np.unravel_index(int(costs.argmax()), costs.shape)
            rows.append((block, float(costs.mean()), float(costs.max()), int(window) + 1, int(place) + 2))
        return pd.DataFrame(rows, columns=["block", "cost", "worst", "window", "position"])

    def to_json(self) -> dict[str, Any]:
        """Plain data: the token ids, the losses, and each block's costs by its name."""
        return {
            "model": self.model,
            "drop": [str(block) for block in self.drop],
            "windows": self.windows,
            "window_length": self.window_length,
            "dtype": self.dtype,
            "overflows_with": list(self.overflowing),
            **noted(self.notes),
            "token_ids": self.token_ids.tolist(),
            "token_nll": self.token_nll.tolist(),
            "costs": {block: self.of(block).tolist() for block in self.measured},
        }


def token_damages(
    loaded: LoadedModel,
    windows: Windows,
    drop: PruneSet,
    *,
    dtype: str = "float32",
    cache: StateCache | None = None,
    kept: PartCache | None = None,
    progress: Progress = silent,
) -> TokenDamages:
    """Put each block of ``drop`` back alone, and measure every token's loss. The model is not changed.

    Blocks are those of the prune set in canonical form: a layer of which both blocks are dropped is one. The last come
    first, as they are the quickest.

    Args:
        dtype: the number type to run in, or ``auto`` for the fastest that is exact enough here.
        cache: hidden states to start from; without one, states are shared between these blocks alone.
        kept: where the losses of each prune set are kept, so that work that was stopped resumes.
        progress: gets the :class:`TokenDamages` so far.

    Raises:
        OptionError: for a prune set of more than ``MOST_BLOCKS`` blocks.
        BlockError: for a block that the model lacks, or if nothing of it is left.
        ModelError: if a number of the dense model, or of ``drop``, is not finite, saying why.
    """
    drop.check(loaded.layers)
    blocks = check_count(drop)
    dtype = resolved(dtype, loaded.device)
    cache, kept = cache if cache is not None else StateCache(), kept or NoPartCache()

    def losses(one: PruneSet, report: Progress) -> np.ndarray | None:
        about = {"drop": str(one), "dtype": dtype}
        known: TokenLosses | None = kept.get(PART, windows.fingerprint, about)
        if known is None:
            known = TokenLosses(one, None)
            try:
                known = TokenLosses(
                    one, evaluate(loaded, windows, one, dtype=dtype, cache=cache, progress=report).token_nll
                )
            except ModelError:
                if one == drop:
                    raise
            kept.put(PART, windows.fingerprint, about, known)
        return known.nll

    steps = 1 + len(blocks)
    present = losses(drop, part(progress, 0, 1 / steps))
    if present is None:  # never kept so
        raise ModelError("The losses that were kept are not finite. Measure them again.")
    costs = np.full((len(blocks), *present.shape), np.nan)
    overflowing: list[str] = []

    def found() -> TokenDamages:
        return TokenDamages(
            model=loaded.name,
            drop=drop,
            blocks=tuple(map(str, blocks)),
            token_ids=windows.token_ids.numpy(),
            token_nll=present,
            costs=costs.copy(),
            overflowing=tuple(overflowing),
            dtype=dtype,
            notes=notes_on(loaded, windows),
        )

    for done, place in enumerate(reversed(range(len(blocks))), start=1):
        block = blocks[place]
        put_back = losses(drop - PruneSet([block]), part(progress, done / steps, (done + 1) / steps))
        if put_back is None:
            overflowing.insert(0, str(block))
        else:
            costs[place] = present - put_back
        progress(done + 1, steps, found())
    return found()


def check_count(drop: PruneSet) -> list[Block]:
    """The blocks of a prune set, by depth; raises ``OptionError`` for too many of them."""
    blocks = list(drop)
    if len(blocks) > MOST_BLOCKS:
        raise OptionError(
            f"{len(blocks)} blocks are dropped, and at most {MOST_BLOCKS} are put back one by one: drop fewer."
        )
    return blocks
