"""Try prune sets on a text and remember what each cost on each window.

cost_model = CostModel(loaded, windows)
cost_model.costs([PruneSet.parse("attn.7")], windows=2)        # (1, 2) KL from dense, nats
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from entviz.blocks import PruneSet
from entviz.decoder.states import StateCache
from entviz.errors import ModelError
from entviz.evaluation.many import evaluate_many
from entviz.evaluation.precision import resolved
from entviz.finite import cause
from entviz.models.loaded import LoadedModel
from entviz.progress import Progress, silent
from entviz.text.windows import Windows


class KnownCosts:
    """What prune sets cost on one text in one number type, as far as they were run.

    Cost models of different costs can share it, and a search for a large budget then finds what one for a small budget
    has run.

    Attributes:
        costs: for each set an array (2, windows so far) of its loss and its KL(dense || pruned), nats a token; infinite
            on a window where the model without it overflows.
        evaluated: prune sets times windows that were run.
        seconds: how long that took.
    """

    def __init__(self) -> None:
        self.costs: dict[PruneSet, np.ndarray] = {}
        self.evaluated = 0
        self.seconds = 0.0


class CostModel:
    """Costs of prune sets, window by window. What was measured once is not measured again.

    Args:
        by: ``kl`` for KL(dense || pruned), ``nll`` for the loss, ``both`` for their sum; nats a token.
        dtype: the number type to run in.
        tried: what was run before on the same model, windows and number type; what is run now is added.
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
        """How many windows there are to try a prune set on."""
        return len(self.windows)

    def costs(self, prune_sets: Sequence[PruneSet], windows: int, progress: Progress = silent) -> np.ndarray:
        """The cost of each prune set on each of the first ``windows`` windows: (prune sets, windows)."""
        # Sets that were tried on equally many windows before are extended together, so that they share their layers.
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
        """The mean cost of every prune set that was tried on so many windows, on the first so many."""
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
        """Run the windows from ``first`` to before ``end``, which follow those that these sets were tried on."""
        began = time.perf_counter()
        part = self.windows[first:end]
        found = evaluate_many(
            self.loaded, part, group, dtype=self.dtype, cache=self.cache, overflow=True, progress=progress
        )
        for drop, cost in zip(group, found, strict=True):
            new = np.stack([cost.window_nll, cost.window_kl])
            old = self.tried.costs.get(drop, new[:, :0])
            self.tried.costs[drop] = np.concatenate([old, new], axis=1)
        self.tried.evaluated += len(group) * (end - first)
        self.tried.seconds += time.perf_counter() - began

    def _of(self, costs: np.ndarray) -> np.ndarray:
        nll, kl = costs
        return np.asarray({"kl": kl, "nll": nll, "both": nll + kl}[self.by])
