"""The costs and savings of one prune set: a cell of a comparison's grid, and its row in the table.

cell.numbers(dense, tokens)          # {"drop": "attn.7", "perplexity": 25.1, ...}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from entviz.blocks import PruneSet
from entviz.evaluation.perplexity import perplexity
from entviz.timing import Speed


@dataclass(frozen=True)
class Case:
    """What a cell measures: a prune set, and the name of the repair that it runs with, empty for none."""

    drop: PruneSet = field(default_factory=PruneSet)
    repair: str = ""


@dataclass(frozen=True, eq=False)
class GridCell:
    """The costs and savings of one prune set. W windows, R repeats of the timing, N items of the task.

    Attributes:
        drop: the prune set; empty for the dense model.
        window_nll, window_kl, window_agreement: (W,) means over the scored tokens; nats, nats, a share.
        parameters: the number of weights that are left.
        seconds, dense_seconds: (R,) to read one window, pruned and dense in turn; empty for the dense model.
        right, right_normalized: (N,) whether each item was answered correctly; empty without a task.
        nll_cosines: (W, K) cosine-weighted averages of the tokens' losses, nats. :func:`entviz.statistics.interval`
            takes ``window_nll`` followed by these. None in results of versions that did not store them.
    """

    drop: PruneSet
    window_nll: np.ndarray
    window_kl: np.ndarray
    window_agreement: np.ndarray
    parameters: int
    seconds: np.ndarray
    dense_seconds: np.ndarray
    right: np.ndarray
    right_normalized: np.ndarray
    nll_cosines: np.ndarray | None = None

    @property
    def speed(self) -> Speed:
        """How many times as fast as the dense model, which is as fast as itself."""
        return Speed.of(self.dense_seconds, self.seconds) if self.seconds.size else Speed(1.0, 1.0, 1.0, 0)

    def numbers(self, dense: GridCell, tokens: int) -> dict[str, Any]:
        """The columns of a comparison's rows that depend on the prune set; a run reads ``tokens`` tokens."""
        nll = float(self.window_nll.mean())
        a_second = tokens / float(np.median(self.seconds)) if self.seconds.size else math.nan
        speed = self.speed
        return {
            "drop": str(self.drop),
            "blocks": len(list(self.drop)),
            "perplexity": perplexity(nll),
            "nll": nll,
            "kl": float(self.window_kl.mean()),
            "top1_agreement": float(self.window_agreement.mean()),
            "accuracy": _share(self.right),
            "accuracy_normalized": _share(self.right_normalized),
            "parameters": self.parameters,
            "parameters_kept": self.parameters / dense.parameters,
            "speedup": speed.times,
            "speedup_low": speed.low,
            "speedup_high": speed.high,
            "tokens_per_second": a_second,
            "window_nll": tuple(self.window_nll.tolist()),
            "window_kl": tuple(self.window_kl.tolist()),
            "window_agreement": tuple(self.window_agreement.tolist()),
            "nll_cosines": () if self.nll_cosines is None else tuple(self.nll_cosines.ravel().tolist()),
        }


def nll_averages(row: Mapping[str, Any] | pd.Series) -> np.ndarray:
    """The averages (W, 1 + K) of a row of a comparison, for :func:`entviz.statistics.interval`.

    Rows of versions that did not store ``nll_cosines`` only have the windows' means, so K is 0.
    """
    means = np.asarray(row["window_nll"], dtype=float)[:, None]
    return np.hstack([means, np.reshape(row.get("nll_cosines", ()), (len(means), -1))])


def _share(right: np.ndarray) -> float:
    return float(right.mean()) if right.size else math.nan
