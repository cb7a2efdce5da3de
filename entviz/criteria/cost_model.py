"""Try prune sets on a text and remember the cost of each on each window.

cost_model = CostModel(loaded, windows)
cost_model.costs([PruneSet.parse("attn.7")], windows=2)        # (1, 2) KL from dense, nats
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from entviz.blocks import PruneSet
from entviz.decoder.precision import resolved
from entviz.decoder.states import StateCache
from entviz.errors import ModelError
from entviz.evaluation.biases import Biases
from entviz.evaluation.many import evaluate_many
from entviz.finite import cause
from entviz.models.loaded import LoadedModel
from entviz.progress import Progress, silent
from entviz.text.windows import Windows


class KnownCosts:
    """The costs of all prune sets that were run on one text in one number type.

    Cost models for the loss, the divergence and their sum can share it. A search for a large budget then reuses what
    a search for a small budget has run.

    Attributes:
        costs: for each prune set an array (2, windows run so far) of its loss and its KL(dense || pruned), nats a
            token; infinite for a window on which the pruned model overflows.
        evaluated: the number of runs, counted as prune sets times windows.
        seconds: how long the runs took.
        biases: what repairs the prune sets, if they are run with the repair ``bias``.
    """

    def __init__(self) -> None:
        self.costs: dict[PruneSet, np.ndarray] = {}
        self.evaluated = 0
        self.seconds = 0.0
        self.biases: Biases | None = None


class CostModel:
    """The costs of prune sets, window by window. Each is measured only once.

    Args:
        by: ``kl`` for KL(dense || pruned), ``nll`` for the loss, ``both`` for their sum; nats a token.
        dtype: the number type to run in.
        tried: earlier costs for the same model, windows, number type and repair; new costs are added to it. If it has
            ``biases``, prune sets run with them.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        windows: Windows,
        *,
        by: str = "kl",
        dtype: str = "float32",
        cache: StateCache | None = None,
        tried: KnownCosts | None = None,
    ) -> None:
        self.loaded, self.windows, self.by, self.dtype = loaded, windows, by, dtype
        self.cache = cache if cache is not None else StateCache()
        self.tried = tried if tried is not None else KnownCosts()

    @property
    def window_count(self) -> int:
        """The number of windows on which a prune set can be tried."""
        return len(self.windows)

    def costs(self, prune_sets: Sequence[PruneSet], windows: int, progress: Progress = silent) -> np.ndarray:
        """The cost of each prune set on each of the first ``windows`` windows: (prune sets, windows)."""
        # Sets already tried on the same number of windows are extended together, so that they share their first layers.
        groups: dict[int, list[PruneSet]] = {}
        for drop in dict.fromkeys(prune_sets):
            done = self._done(drop)
            if done < windows:
                groups.setdefault(done, []).append(drop)
        for done, group in groups.items():
            self._run(group, done, windows, progress)
        found = [self._of(self.tried.costs[drop])[:windows] for drop in prune_sets]
        return np.array(found).reshape(len(prune_sets), windows)

    def known(self, windows: int) -> dict[PruneSet, float]:
        """The mean cost, over the first ``windows`` windows, of every prune set tried on at least that many."""
        return {
            drop: float(self._of(costs)[:windows].mean())
            for drop, costs in self.tried.costs.items()
            if costs.shape[1] >= windows
        }

    def cause(self, drop: PruneSet) -> ModelError:
        """Why the costs of a prune set are infinite."""
        loaded = self.loaded.in_dtype(resolved(self.dtype, self.loaded.device))
        return cause(loaded, self.windows.inputs, drop)

    def _done(self, drop: PruneSet) -> int:
        return self.tried.costs[drop].shape[1] if drop in self.tried.costs else 0

    def _run(self, group: Sequence[PruneSet], first: int, end: int, progress: Progress) -> None:
        """Run windows ``first`` to ``end - 1``, which follow the windows on which these sets were already tried."""
        began = time.perf_counter()
        found = self._measured(group, self.windows[first:end], progress)
        for drop, new in zip(group, found, strict=True):
            old = self.tried.costs.get(drop, new[:, :0])
            self.tried.costs[drop] = np.concatenate([old, new], axis=1)
        self.tried.evaluated += len(group) * (end - first)
        self.tried.seconds += time.perf_counter() - began

    def _measured(self, group: Sequence[PruneSet], part: Windows, progress: Progress) -> Sequence[np.ndarray]:
        """For each prune set the loss and the divergence on each window, (2, windows)."""
        found = evaluate_many(
            self.loaded,
            part,
            group,
            dtype=self.dtype,
            cache=self.cache,
            overflow=True,
            biases=self.tried.biases,
            progress=progress,
        )
        return [np.stack([cost.window_nll, cost.window_kl]) for cost in found]

    def _of(self, costs: np.ndarray) -> np.ndarray:
        nll, kl = costs
        return np.asarray({"kl": kl, "nll": nll, "both": nll + kl}[self.by])
