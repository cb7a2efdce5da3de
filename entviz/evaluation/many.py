"""Evaluate many prune sets on one text. What they share is computed only once.

    costs = evaluate_many(loaded, windows, [PruneSet([block]) for block in all_blocks(loaded.layers)])
    costs[3].nll, costs[3].kl

Prune sets that agree on the first layers have the same hidden states there. The sets are therefore walked as a tree
that branches where they first differ: a layer is run once for all sets below its branch, and at most one state for each
level of the tree is in memory. Leaving out each of N blocks in turn costs about N / 2 evaluations, and so do the
candidates of a greedy step or of a search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from entviz import kernels
from entviz.blocks import PruneSet
from entviz.decoder.batching import batches, windows_per_batch
from entviz.decoder.precision import resolved
from entviz.decoder.states import StateCache
from entviz.evaluation.biases import Biases
from entviz.evaluation.loss import TextOnDevice, dense_on
from entviz.evaluation.perplexity import perplexity
from entviz.evaluation.scoring import score
from entviz.evaluation.walk import Walk
from entviz.finite import check
from entviz.models.loaded import LoadedModel
from entviz.progress import Progress, silent
from entviz.statistics import cosine_basis
from entviz.text.windows import Windows


@dataclass(frozen=True, eq=False)
class PruneSetCost:
    """The cost of one prune set.

    Attributes:
        drop: the prune set.
        nll_averages: (windows, 1 + K) loss of the scored tokens of each window, nats a token: its mean and its
            cosine-weighted averages, in the form that :func:`entviz.statistics.interval` takes.
        kl_averages: (windows, 1 + K) the same averages of KL(dense || pruned), nats.
        window_agreement: (windows,) the share of positions with the same likeliest token as the dense model.

    If the pruned model's numbers were not finite on a window, the loss and divergence of that window are infinite and
    its agreement is 0.
    """

    drop: PruneSet
    nll_averages: np.ndarray
    kl_averages: np.ndarray
    window_agreement: np.ndarray

    @property
    def window_nll(self) -> np.ndarray:
        """(windows,) mean loss, nats a token."""
        return self.nll_averages[:, 0]

    @property
    def window_kl(self) -> np.ndarray:
        """(windows,) mean KL(dense || pruned), nats."""
        return self.kl_averages[:, 0]

    @property
    def nll(self) -> float:
        """Mean loss, nats a token."""
        return float(self.window_nll.mean())

    @property
    def perplexity(self) -> float:
        """exp of the mean loss; exp(700) if the loss is 700 nats or more."""
        return perplexity(self.nll)

    @property
    def kl(self) -> float:
        """Mean KL(dense || pruned), nats."""
        return float(self.window_kl.mean())

    @property
    def top1_agreement(self) -> float:
        """The share of positions with the same likeliest token as the dense model."""
        return float(self.window_agreement.mean())


def evaluate_many(
    loaded: LoadedModel,
    windows: Windows,
    prune_sets: Sequence[PruneSet],
    *,
    dtype: str = "float32",
    cache: StateCache | None = None,
    overflow: bool = False,
    biases: Biases | None = None,
    progress: Progress = silent,
) -> list[PruneSetCost]:
    """Measure the cost of each of ``prune_sets`` on ``windows``, in their order. The model is not changed.

    ``cache`` keeps the dense model's predictions, and hidden states that several sets share, between calls. The numbers
    are those of :func:`entviz.evaluation.loss.evaluate`, which also explains ``dtype``. With ``overflow``, a prune set
    whose numbers are not finite has an infinite cost, so that it loses against others and the work continues. With
    ``biases``, of the same model in the same number type, each prune set runs with the repair ``bias``.
    ``progress`` counts prune sets times windows.

    Raises:
        BlockError: if a prune set names a block that the model lacks, or leaves no block in the model.
        ModelError: if a number of the dense model is not finite, or, without ``overflow``, of a pruned model; the
            message says why.
    """
    for drop in prune_sets:
        drop.check(loaded.layers)
    dtype = resolved(dtype, loaded.device)
    if not prune_sets:
        return []
    kernels.load()  # takes a second, which pays if there is much to score
    loaded = loaded.in_dtype(dtype)
    anatomy = loaded.anatomy
    cache = cache if cache is not None else StateCache(0)
    count = len(windows)
    basis = cosine_basis(count, windows.length - 1)
    weights = torch.from_numpy(basis.T).to(loaded.device)
    found = np.zeros((3, len(prune_sets), count, len(basis)))
    size = windows_per_batch(loaded.anatomy, windows.input_length)
    done, total = 0, max(1, count * len(prune_sets))

    def tick() -> None:
        progress(done, total)

    with torch.inference_mode():
        if biases is not None:
            biases.learn(prune_sets, cache, tick)
        for first, token_ids in batches(windows.inputs, size):
            text = TextOnDevice.of(loaded, dtype, token_ids, windows)
            ids = text.token_ids
            here = slice(first, first + len(ids))
            dense = dense_on(loaded, text, cache, tick)
            hidden, calls = anatomy.begin(ids)
            known = cache if anatomy.resumable else StateCache(0)
            walk = Walk(anatomy, calls, tick, known, text.key, biases)
            for places, last in walk.leaves(0, hidden, list(enumerate(prune_sets))):
                scores = score(anatomy.head, *text.scored(last), dense, after_chunk=tick)
                averages = [
                    part.double().reshape(len(ids), -1) @ weights
                    for part in (scores.nll, scores.kl, scores.agrees)
                ]
                numbers = torch.stack(averages).cpu().numpy()
                if overflow:
                    numbers = _infinite_where_not_finite(numbers)
                else:
                    check(numbers, loaded, ids, prune_sets[places[0]])
                for place in places:
                    found[:, place, here] = numbers
                done += len(places) * len(ids)
                progress(done, total)
    return [
        PruneSetCost(drop, found[0, place], found[1, place], found[2, place, :, 0])
        for place, drop in enumerate(prune_sets)
    ]


def _infinite_where_not_finite(numbers: np.ndarray) -> np.ndarray:
    """Loss, divergence and agreement (3, windows, 1 + K); infinite and 0 on a window with a non-finite number."""
    worst = np.array([math.inf, math.inf, 0.0])[:, None, None]
    return np.where(np.isfinite(numbers).all(axis=(0, 2))[:, None], numbers, worst)
