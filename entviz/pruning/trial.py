"""Try prune sets on a text and remember what each cost on each window.

trial = Trial(loaded, windows)
trial.costs([PruneSet.parse("attn.7")], windows=2)        # (1, 2) KL from dense, nats
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from entviz.blocks import PruneSet
from entviz.corpus import Windows
from entviz.evaluation.many import Cost, evaluate_many
from entviz.models.loaded import LoadedModel
from entviz.progress import Progress, silent
from entviz.pruning.states import StateCache


class Trial:
    """Costs of prune sets, window by window. What was measured once is not measured again.

    Args:
        by: ``kl`` for KL(dense || pruned), ``nll`` for the loss, ``both`` for their sum; nats a token.
        dtype: the number type to run in.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        windows: Windows,
        *,
        by: str = "kl",
        dtype: str = "float32",
        cache: StateCache | None = None,
    ) -> None:
        self.loaded, self.windows, self.by, self.dtype = loaded, windows, by, dtype
        self.cache = cache if cache is not None else StateCache()
        self._known: dict[PruneSet, np.ndarray] = {}
        self.evaluated = 0  # prune sets times windows that were run

    @property
    def window_count(self) -> int:
        """How many windows there are to try a prune set on."""
        return len(self.windows.token_ids)

    def costs(self, prune_sets: Sequence[PruneSet], windows: int, progress: Progress = silent) -> np.ndarray:
        """The cost of each prune set on each of the first ``windows`` windows: (prune sets, windows)."""
        # Sets that were tried on equally many windows before are extended together, so that they share their layers.
        groups: dict[int, list[PruneSet]] = {}
        for drop in dict.fromkeys(prune_sets):
            tried = len(self._known.get(drop, ()))
            if tried < windows:
                groups.setdefault(tried, []).append(drop)
        for tried, group in groups.items():
            part = Windows(
                self.windows.token_ids[tried:windows], f"{self.windows.fingerprint}[{tried}:{windows}]"
            )
            found = evaluate_many(
                self.loaded, part, group, dtype=self.dtype, cache=self.cache, progress=progress
            )
            self.evaluated += len(group) * (windows - tried)
            for drop, cost in zip(group, found, strict=True):
                self._known[drop] = np.concatenate([self._known.get(drop, np.empty(0)), self._of(cost)])
        return np.array([self._known[drop][:windows] for drop in prune_sets]).reshape(
            len(prune_sets), windows
        )

    def _of(self, cost: Cost) -> np.ndarray:
        return {
            "kl": cost.window_kl,
            "nll": cost.window_nll,
            "both": cost.window_kl + cost.window_nll,
        }[self.by]
