"""The cost of dropping two blocks beyond the sum of what each costs alone.

    found = interactions(loaded, windows, level="attn")
    found.beyond("loss")        # (blocks, blocks), nats a token: positive if the pair costs more than the sum

A criterion that scores blocks one by one assumes that damage adds up. If it does not, such a criterion can choose badly
even if it ranks single blocks well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from entviz.blocks import Block, PruneSet, all_blocks
from entviz.criteria.ranking import JOINT, kinds_of
from entviz.decoder.states import StateCache
from entviz.errors import OptionError
from entviz.evaluation.many import evaluate_many
from entviz.models.loaded import LoadedModel
from entviz.models.notes import noted, notes_on
from entviz.progress import Progress, silent
from entviz.records import records
from entviz.statistics import reach, standard_error
from entviz.text.windows import Windows

DAMAGES = ("loss", "kl")
MOST_PAIRS = 5000
_FEWEST_TOGETHER = 24  # pairs that are run together: fewer would run the layers before them too often


@dataclass(frozen=True, eq=False)
class Interactions:
    """The result of :func:`interactions`, so far. N blocks, W windows; values that are not measured (yet) are NaN.

    Attributes:
        model: the name under which the model was loaded.
        level: layer, attn, mlp or attn+mlp.
        windows, window_length: the number of windows measured, and their length in tokens.
        blocks: the names of the N blocks, by depth.
        alone_loss, alone_kl: (N, W) the cost of dropping one block: loss increase, and KL from dense, nats a token.
        together_loss, together_kl: (N, N, W) the cost of dropping two blocks; symmetric, with NaN on the diagonal.
        notes: sentences about how the text was read.
        beyond_loss_cosines, beyond_kl_cosines: (N, N, W, K) cosine-weighted averages of the cost beyond the sum, see
            :func:`entviz.statistics.cosine_averages`. None in results of versions that did not store them.
    """

    model: str
    level: str
    windows: int
    window_length: int
    blocks: tuple[str, ...]
    alone_loss: np.ndarray
    alone_kl: np.ndarray
    together_loss: np.ndarray
    together_kl: np.ndarray
    notes: tuple[str, ...] = ()
    beyond_loss_cosines: np.ndarray | None = None
    beyond_kl_cosines: np.ndarray | None = None

    def alone(self, damage: str = "loss") -> np.ndarray:
        """(N,) the damage of each block, mean over windows."""
        return self._arrays(damage)[0].mean(axis=1)

    def together(self, damage: str = "loss") -> np.ndarray:
        """(N, N) the damage of each pair, mean over windows."""
        return self._arrays(damage)[1].mean(axis=2)

    def beyond(self, damage: str = "loss") -> np.ndarray:
        """(N, N) the damage of each pair minus the sum of its blocks' single damages, mean over windows."""
        return self._beyond_by_window(damage).mean(axis=2)

    def standard_error(self, damage: str = "loss") -> np.ndarray:
        """(N, N) the standard error of :meth:`beyond`; NaN if it cannot be estimated."""
        return standard_error(self._averages(damage))

    def reach(self, damage: str = "loss") -> np.ndarray:
        """(N, N) half the 95% interval of :meth:`beyond`; infinite if it cannot be estimated."""
        return reach(self._averages(damage))

    @property
    def pairs(self) -> int:
        """The number of pairs."""
        return len(self.blocks) * (len(self.blocks) - 1) // 2

    @property
    def pairs_done(self) -> int:
        """The number of measured pairs."""
        return int((~np.isnan(self.together_kl).any(axis=2)).sum()) // 2

    def table(self) -> pd.DataFrame:
        """A row for each measured pair, by depth. Columns: first, second, and for loss and kl (nats a token): together
        (the pair's damage), sum (of the two single damages), interaction (their difference) and standard_error, each
        with the measure's name before it, as in ``loss_interaction``.
        """
        first, second = np.triu_indices(len(self.blocks), 1)
        known = ~np.isnan(self.together("kl")[first, second])
        first, second = first[known], second[known]
        columns: dict[str, Any] = {
            "first": [self.blocks[i] for i in first],
            "second": [self.blocks[j] for j in second],
        }
        for damage in DAMAGES:
            alone = self.alone(damage)
            columns[f"{damage}_together"] = self.together(damage)[first, second]
            columns[f"{damage}_sum"] = alone[first] + alone[second]
            columns[f"{damage}_interaction"] = self.beyond(damage)[first, second]
            columns[f"{damage}_standard_error"] = self.standard_error(damage)[first, second]
        return pd.DataFrame(columns)

    def to_json(self) -> dict[str, Any]:
        """Plain data: model, level, windows, window_length, alone and pairs (rows of :meth:`table`)."""
        alone = zip(self.blocks, self.alone("loss").tolist(), self.alone("kl").tolist(), strict=True)
        return {
            "model": self.model,
            "level": self.level,
            "windows": self.windows,
            "window_length": self.window_length,
            **noted(self.notes),
            "alone": [{"block": block, "loss": loss, "kl": kl} for block, loss, kl in alone],
            "pairs": records(self.table()),
        }

    def _arrays(self, damage: str) -> tuple[np.ndarray, np.ndarray]:
        if damage not in DAMAGES:
            raise OptionError(f"'{damage}' is not a measure of damage: choose from {', '.join(DAMAGES)}.")
        if damage == "loss":
            return self.alone_loss, self.together_loss
        return self.alone_kl, self.together_kl

    def _averages(self, damage: str) -> np.ndarray:
        """Averages (N, N, W, 1 + K) of the cost beyond the sum, in the form that :mod:`entviz.statistics` takes."""
        means = self._beyond_by_window(damage)[..., None]
        cosines = self.beyond_loss_cosines if damage == "loss" else self.beyond_kl_cosines
        return means if cosines is None else np.concatenate([means, cosines], axis=-1)

    def _beyond_by_window(self, damage: str) -> np.ndarray:
        alone, together = self._arrays(damage)
        return together - alone[:, None, :] - alone[None, :, :]


def interactions(
    loaded: LoadedModel,
    windows: Windows,
    level: str = "attn",
    *,
    blocks: Sequence[Block] | None = None,
    dtype: str = "float32",
    cache: StateCache | None = None,
    progress: Progress = silent,
) -> Interactions:
    """Measure the damage of every pair of blocks, and of each block alone.

    Pairs are walked as a tree, so a layer is run once for all pairs that agree up to it. This takes about half the time
    of separate evaluations. Pairs that leave no block in the model are skipped.

    Args:
        level: layer, attn, mlp, or attn+mlp for both together.
        blocks: the blocks to pair, instead of all blocks of the level.
        dtype: the number type to run in.
        cache: keeps the dense model's predictions between the steps.
        progress: counts prune sets times windows; receives the :class:`Interactions` so far.

    Raises:
        OptionError: for more than ``MOST_PAIRS`` pairs.
        BlockError: for an unknown level, or a block that the model lacks.
    """
    chosen = chosen_blocks(loaded, level, blocks)
    cache = cache if cache is not None else StateCache()
    count, total = len(windows), (1 + len(chosen) + len(chosen) * (len(chosen) - 1) // 2)
    done = 0

    def report(step: int, _steps: int, _partial: object = None, /) -> None:
        progress(done * count + step, total * count)

    def cost_of(drops: Sequence[PruneSet]) -> np.ndarray:
        costs = evaluate_many(loaded, windows, drops, dtype=dtype, cache=cache, progress=report)
        return np.array([[cost.nll_averages, cost.kl_averages] for cost in costs]).swapaxes(0, 1)

    first = cost_of([PruneSet(), *(PruneSet([block]) for block in chosen)])
    done = 1 + len(chosen)
    dense = first[:, :1] * [
        [[[1.0]]],
        [[[0.0]]],
    ]  # a loss is taken relative to the dense model's; a divergence already is
    alone = first[:, 1:] - dense  # (2, N, W, 1 + K)
    unknown = np.full((len(chosen), len(chosen), *alone.shape[2:]), np.nan)
    found = Interactions(
        model=loaded.name,
        level=level,
        windows=count,
        window_length=windows.length,
        blocks=tuple(map(str, chosen)),
        alone_loss=alone[0, ..., 0],
        alone_kl=alone[1, ..., 0],
        together_loss=unknown[..., 0],
        together_kl=unknown[..., 0],
        notes=notes_on(loaded, windows),
        beyond_loss_cosines=unknown[..., 1:],
        beyond_kl_cosines=unknown[..., 1:],
    )
    together = np.stack([unknown, unknown])
    progress(done * count, total * count, found)
    for pairs in _runs_of_pairs(chosen, loaded.layers):
        rows, columns = np.array(pairs).T
        measured = cost_of([PruneSet([chosen[i], chosen[j]]) for i, j in pairs]) - dense
        # A new array, because a reader of the partial result may still be using the old one.
        together = together.copy()
        together[:, rows, columns] = together[:, columns, rows] = measured
        beyond = (together - alone[:, :, None] - alone[:, None])[..., 1:]
        found = replace(
            found,
            together_loss=together[0, ..., 0],
            together_kl=together[1, ..., 0],
            beyond_loss_cosines=beyond[0],
            beyond_kl_cosines=beyond[1],
        )
        done += len(pairs)
        progress(done * count, total * count, found)
    return found


def chosen_blocks(
    loaded: LoadedModel, level: str, blocks: Sequence[Block] | None = None
) -> tuple[Block, ...]:
    """The blocks to pair, by depth; raises the errors of :func:`interactions`."""
    known = all_blocks(loaded.layers, kinds_of(level))
    chosen = known if blocks is None else sorted(set(blocks))
    PruneSet(block for block in chosen if block.index >= loaded.layers).check(loaded.layers)
    if strange := [str(block) for block in chosen if block not in known]:
        raise OptionError(f"{strange[0]} is not a block of level {level}: name blocks of that level.")
    if len(chosen) < 2:
        raise OptionError("A pair needs two blocks: choose another level, or name more blocks.")
    pairs = len(chosen) * (len(chosen) - 1) // 2
    if pairs > MOST_PAIRS:
        instead = "the level attn or mlp alone, or name fewer blocks" if level == JOINT else "fewer blocks"
        raise OptionError(
            f"{len(chosen)} blocks make {pairs:,} pairs, but at most {MOST_PAIRS:,} can be measured: choose {instead}."
        )
    return tuple(chosen)


def _runs_of_pairs(blocks: Sequence[Block], layers: int) -> Iterator[list[tuple[int, int]]]:
    """The pairs (i < j) in groups that are large enough for a walk of their own; pairs with the same first block are
    together.
    """
    together: list[tuple[int, int]] = []
    for i, first in enumerate(blocks):
        together += [
            (i, j)
            for j, second in enumerate(blocks[i + 1 :], start=i + 1)
            if PruneSet([first, second]).leaves_something(layers)
        ]
        if len(together) >= max(_FEWEST_TOGETHER, len(blocks)):
            yield together
            together = []
    if together:
        yield together
