"""The damage of each kept block beside a prune set: what dropping this one too would cost.

    found = block_damages(loaded, windows, PruneSet.parse("attn.7"))
    found.blocks.sort_values("loss")        # the cheapest next block first

Of the dense model these are the damages of leave-one-out. Blocks interact, so they change with each block that is
dropped. The hidden states before a block are those of the prune set without it, so a block costs the layers after it
and the projection to the vocabulary: all blocks together take about half of as many evaluations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from entviz.blocks import Block, PruneSet, all_blocks
from entviz.decoder.batching import batches, windows_per_batch
from entviz.decoder.precision import resolved
from entviz.decoder.running import run_pruned
from entviz.decoder.states import StateCache
from entviz.evaluation.loss import TextOnDevice
from entviz.evaluation.many import PruneSetCost, evaluate_many
from entviz.finite import cause
from entviz.models.loaded import LoadedModel
from entviz.models.notes import noted, notes_on
from entviz.part_cache import NoPartCache, PartCache
from entviz.progress import Progress, silent
from entviz.records import records
from entviz.statistics import cosine_basis, interval
from entviz.text.windows import Windows

LEVELS = ("attn", "mlp")
PART = "block cost"  # what a part is stored as: one prune set on one batch of windows


@dataclass(frozen=True, eq=False)
class BlockDamages:
    """What :func:`block_damages` found, so far.

    Attributes:
        model: the name the model was loaded by.
        drop: the prune set.
        nll, kl: its loss and its KL(dense || pruned), nats a token.
        blocks: a row for each block that can be dropped too, by depth. Columns: block, kind, index, loss (increase when
            this block is dropped too, nats a token; it can be negative), loss_reach (half of its 95% interval), kl
            (KL(dense || pruned) then, nats a token), kl_reach. Not numbers where not measured yet, infinite where the
            model overflows without the block.
        windows: how many windows were measured.
        windows_total: how many there are.
        window_length: tokens in each.
        dtype: the number type the model ran in.
        notes: sentences about how the text was read.
    """

    model: str
    drop: PruneSet
    nll: float
    kl: float
    blocks: pd.DataFrame
    windows: int
    windows_total: int
    window_length: int
    dtype: str
    notes: tuple[str, ...] = ()

    @property
    def measured(self) -> int:
        """How many blocks are measured."""
        return int(self.blocks["loss"].notna().sum())

    @property
    def finished(self) -> bool:
        """Whether every block is measured on every window."""
        return self.windows == self.windows_total and self.measured == len(self.blocks)

    @property
    def overflowing(self) -> list[str]:
        """The blocks without which the model overflows, by name."""
        return [str(block) for block in self.blocks.loc[np.isinf(self.blocks["loss"]), "block"]]

    def to_json(self) -> dict[str, Any]:
        """Plain data; what is not finite is None, and blocks without which the model overflows are named."""
        finite = self.blocks.copy()
        for name in ("loss", "loss_reach", "kl", "kl_reach"):
            finite[name] = finite[name].where(np.isfinite(finite[name]))
        return {
            "model": self.model,
            "drop": [str(block) for block in self.drop],
            "nll": self.nll,
            "kl": self.kl,
            "windows": self.windows,
            "window_length": self.window_length,
            "dtype": self.dtype,
            "overflows_without": self.overflowing,
            **noted(self.notes),
            "blocks": records(finite),
        }


def block_damages(
    loaded: LoadedModel,
    windows: Windows,
    drop: PruneSet | None = None,
    levels: Sequence[str] = LEVELS,
    *,
    dtype: str = "float32",
    cache: StateCache | None = None,
    kept: PartCache | None = None,
    progress: Progress = silent,
) -> BlockDamages:
    """Measure what dropping each further block would cost, beside ``drop``. The model is not changed.

    Each damage is the difference of two evaluations (:func:`entviz.evaluation.loss.evaluate`), with the block and
    without. The last layers come first, as they are the quickest. Blocks without which nothing of the model is left
    have no row.

    Args:
        drop: what is dropped already; nothing if left out.
        levels: layer, attn, mlp: the kinds of block to measure.
        dtype: the number type to run in, or ``auto`` for the fastest that is exact enough here.
        cache: hidden states to start from.
        kept: where the cost of each prune set is kept, so that work that was stopped resumes.
        progress: counts prune sets times windows; gets the :class:`BlockDamages` so far. Once each block is measured
            on the first windows, those are of the windows that are measured for all blocks.

    Raises:
        BlockError: for a block that the model lacks, an unknown level, or if ``drop`` leaves nothing of the model.
        ModelError: where the dense model's numbers, or those of ``drop`` itself, are not finite, saying why.
    """
    drop = (drop if drop is not None else PruneSet()).check(loaded.layers)
    dtype = resolved(dtype, loaded.device)
    work = _Work(loaded, drop, dtype, cache if cache is not None else StateCache(), kept or NoPartCache())
    blocks = further_blocks(drop, loaded.layers, levels)
    total, done = len({drop | PruneSet([block]) for block in blocks} | {drop}) * len(windows), 0
    costs: dict[PruneSet, list[PruneSetCost]] = {}

    def tick(step: int, _steps: int, _partial: object = None, /) -> None:
        progress(done + step, total)

    for first, token_ids in batches(windows.inputs, windows_per_batch(loaded.anatomy, windows.input_length)):
        part = windows[first : first + len(token_ids)]
        for group in work.groups(blocks, part):
            for cost in work.measure(group, part, tick):
                costs.setdefault(cost.drop, []).append(cost)
            done += len(group) * len(part)
            progress(done, total, _found(loaded, windows, drop, blocks, dtype, costs))
    return _found(loaded, windows, drop, blocks, dtype, costs)


def further_blocks(drop: PruneSet, layers: int, levels: Sequence[str] = LEVELS) -> list[Block]:
    """The blocks that can be dropped beside ``drop``, by depth: kept ones without which something is left."""
    return [
        block
        for block in all_blocks(layers, levels)
        if block not in drop and (drop | PruneSet([block])).leaves_something(layers)
    ]


class _Work:
    """Measures prune sets on a batch of windows, each once, and keeps what each costs as soon as it is known."""

    def __init__(
        self, loaded: LoadedModel, drop: PruneSet, dtype: str, cache: StateCache, kept: PartCache
    ) -> None:
        self.loaded, self.drop, self.dtype = loaded, drop, dtype
        self.cache, self.kept = cache, kept

    def groups(self, blocks: Sequence[Block], part: Windows) -> list[list[PruneSet]]:
        """The prune sets that are run together: the present one, then those of each layer's blocks, the last first.

        Where the hidden states before each layer cannot be kept, all are run together, so that one walk shares them.
        """
        by_layer: dict[int, list[PruneSet]] = {}
        for block in reversed(blocks):
            by_layer.setdefault(block.index, []).append(self.drop | PruneSet([block]))
        groups = [[self.drop], *(list(dict.fromkeys(group)) for group in by_layer.values())]
        return groups if self._states_fit(part) else [[drop for group in groups for drop in group]]

    def measure(self, group: Sequence[PruneSet], part: Windows, progress: Progress) -> list[PruneSetCost]:
        """What each prune set costs on these windows. Raises ``ModelError`` where the present one's is not finite."""
        known = {drop: self.kept.get(PART, part.fingerprint, self._about(drop)) for drop in group}
        todo = [drop for drop, cost in known.items() if cost is None]
        if todo and self._states_fit(part):
            self._run_present(part, progress)
        found = evaluate_many(
            self.loaded, part, todo, dtype=self.dtype, cache=self.cache, overflow=True, progress=progress
        )
        for cost in found:
            if cost.drop == self.drop and not math.isfinite(cost.nll):
                raise cause(self.loaded.in_dtype(self.dtype), part.inputs, self.drop)
            self.kept.put(PART, part.fingerprint, self._about(cost.drop), cost)
            known[cost.drop] = cost
        return [known[drop] for drop in group]

    def _run_present(self, part: Windows, progress: Progress) -> None:
        """Leave the hidden states before each layer without the present prune set in the cache."""
        loaded = self.loaded.in_dtype(self.dtype)
        text = TextOnDevice.of(loaded, self.dtype, part.inputs, part)
        with torch.inference_mode():
            run_pruned(
                loaded.anatomy,
                text.token_ids,
                self.drop,
                cache=self.cache,
                text=text.key,
                after_layer=lambda _: progress(0, 1),
            )

    def _states_fit(self, part: Windows) -> bool:
        """Whether the hidden states before all layers take less than half of the cache."""
        anatomy, size = self.loaded.anatomy, 4 if self.dtype == "float32" else 2
        taken = size * anatomy.layers * len(part) * part.input_length * self.loaded.width
        return anatomy.resumable and 2 * taken <= self.cache.capacity

    def _about(self, drop: PruneSet) -> Mapping[str, Any]:
        return {"drop": str(drop), "dtype": self.dtype}


def _found(
    loaded: LoadedModel,
    windows: Windows,
    drop: PruneSet,
    blocks: Sequence[Block],
    dtype: str,
    costs: Mapping[PruneSet, Sequence[PruneSetCost]],
) -> BlockDamages:
    """The damages over those batches of windows on which every block is measured; in the first, as far as they are."""
    sets = [drop | PruneSet([block]) for block in blocks]
    whole = max(1, min((len(costs.get(one, ())) for one in sets), default=len(costs[drop])))
    averages = len(cosine_basis(len(windows), windows.length - 1))  # as many as so many windows need, 1 + K

    def of(one: PruneSet) -> np.ndarray:
        """Loss and divergence, (2, windows, 1 + K)."""
        known = costs[one][:whole]
        arrays = [np.stack([cost.nll_averages, cost.kl_averages])[..., :averages] for cost in known]
        return np.concatenate(arrays, axis=1)

    present = of(drop)
    rows = [
        _row(block, of(one) if one in costs else None, present)
        for block, one in zip(blocks, sets, strict=True)
    ]
    columns = ["block", "kind", "index", "loss", "loss_reach", "kl", "kl_reach"]
    return BlockDamages(
        model=loaded.name,
        drop=drop,
        nll=float(present[0, :, 0].mean()),
        kl=float(present[1, :, 0].mean()),
        blocks=pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[3:], float)),
        windows=present.shape[1],
        windows_total=len(windows),
        window_length=windows.length,
        dtype=dtype,
        notes=notes_on(loaded, windows),
    )


def _row(block: Block, cost: np.ndarray | None, present: np.ndarray) -> tuple[Any, ...]:
    name = (str(block), block.kind, block.index)
    if cost is None:
        return (*name, *[math.nan] * 4)
    loss, kl = interval(cost[0] - present[0]), interval(cost[1])
    return (*name, loss.mean, loss.reach, kl.mean, kl.reach)
