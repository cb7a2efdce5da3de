"""The costs of prune sets that are repaired: each is fitted on one part of the calibration text, and run on the other.

costs = RepairedCosts(loaded, judged, fitted=fitted, method="refit")
costs.costs([PruneSet.parse("attn.7")], windows=2)        # (1, 2), nats a token, with the repair
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from cachetools import LRUCache

from entviz.blocks import Block, PruneSet
from entviz.criteria.cost_model import CostModel, KnownCosts
from entviz.decoder.states import StateCache
from entviz.errors import ModelError, OptionError
from entviz.evaluation.loss import evaluate
from entviz.models.loaded import LoadedModel
from entviz.progress import Progress, part, silent
from entviz.repair.fitting import fit
from entviz.repair.kept import Kept
from entviz.repair.repair import Repair
from entviz.text.windows import Windows

LEAST_WINDOWS = 4  # half of them is fitted on, of which a repair holds some out
_KEPT_FITS = 16
_FITTING = 0.7  # the usual share of the time


def halves(windows: Windows) -> tuple[Windows, Windows]:
    """The windows that prune sets are judged on, and those that their repairs are fitted on: every second one.

    Both are spread over the whole text, so that they are of one kind. Raises ``OptionError`` if there are too few.
    """
    if len(windows) < LEAST_WINDOWS:
        raise OptionError(
            f"Choosing for a repair needs at least {LEAST_WINDOWS} calibration windows, because repairs are fitted on "
            f"half of them and judged on the others; there are {len(windows)}. Calibrate on more text."
        )
    return windows[::2], windows[1::2]


class RepairedCosts(CostModel):
    """The costs of prune sets with a repair that is fitted for each of them.

    Args:
        windows: what the repaired prune sets are run on.
        fitted: what their repairs are fitted on.
        method: a name in :data:`entviz.repair.registry.METHODS`.
        by, dtype, cache, tried: as for a :class:`CostModel`; repairs are fitted in ``dtype`` as well.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        windows: Windows,
        *,
        fitted: Windows,
        method: str,
        by: str = "kl",
        dtype: str = "float32",
        cache: StateCache | None = None,
        tried: KnownCosts | None = None,
    ) -> None:
        super().__init__(loaded, windows, by=by, dtype=dtype, cache=cache, tried=tried)
        self.fitted, self.method = fitted, method
        self._begun = Kept()  # prune sets that begin alike share their first holes
        self._fits: LRUCache[PruneSet, Repair] = LRUCache(_KEPT_FITS)

    def repair_of(self, drop: PruneSet, progress: Progress) -> Repair:
        """The repair of a prune set.

        Raises:
            OptionError: for fewer calibration tokens than the method has unknowns.
            ModelError: where the method does not fit the model's blocks, or hidden states are not finite.
        """
        known = self._fits.get(drop)
        if known is None:
            try:
                known = fit(
                    self.loaded,
                    self.fitted,
                    drop,
                    self.method,
                    dtype=self.dtype,
                    kept=self._begun,
                    progress=progress,
                )
            except OptionError as error:
                raise OptionError(
                    f"Half of the calibration windows, {len(self.fitted)}, are there to fit repairs on. {error}"
                ) from error
            self._fits[drop] = known
        return known

    def check(self, blocks: Sequence[Block]) -> None:
        """Raise what :meth:`repair_of` raises, before a search: by a repair of the first block with one before it."""
        first = next((block for block in blocks if block.index), blocks[0])
        self.repair_of(PruneSet([first]), silent)

    def _measured(
        self, group: Sequence[PruneSet], windows: Windows, progress: Progress
    ) -> Sequence[np.ndarray]:
        found = []
        for number, drop in enumerate(group):
            start, end = number / len(group), (number + 1) / len(group)
            middle = start + _FITTING * (end - start)
            repair = self.repair_of(drop, part(progress, start, middle)) if drop else None
            try:
                one = evaluate(
                    self.loaded,
                    windows,
                    drop,
                    dtype=self.dtype,
                    repair=repair,
                    cache=self.cache,
                    progress=part(progress, middle, end),
                )
                found.append(np.stack([one.token_nll.mean(axis=1), one.token_kl.mean(axis=1)]))
            except ModelError:  # its numbers are not finite, so that it loses against others
                found.append(np.full((2, len(windows)), np.inf))
        return found
