"""The cost of a prune set on a text: loss, divergence from the dense model, agreement with it, and what is saved.

evaluation = evaluate(loaded, windows, PruneSet.parse("attn.25,attn.26"))
evaluation.perplexity, evaluation.dense_perplexity, evaluation.kl, evaluation.top1_agreement
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from entviz.blocks import PruneSet
from entviz.decoder.anatomy import Anatomy
from entviz.decoder.batching import batches, windows_per_batch
from entviz.decoder.precision import resolved
from entviz.decoder.running import run_pruned
from entviz.decoder.states import StateCache, text_key
from entviz.evaluation.perplexity import or_none, perplexity
from entviz.evaluation.scoring import DenseReference, Scores, dense_reference, score
from entviz.finite import check
from entviz.models.loaded import LoadedModel
from entviz.models.notes import noted, notes_on
from entviz.progress import Progress, silent
from entviz.repair.repair import Repair
from entviz.statistics import Interval, cosine_averages, interval, standard_error
from entviz.text.windows import Windows


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of :func:`evaluate`, so far. W windows of S tokens; the S-1 tokens after a window's first are scored.

    Attributes:
        drop: the prune set.
        token_ids: (W, S) the finished windows, without beginning tokens.
        token_nll, dense_token_nll: (W, S-1) negative log-likelihood of each scored token, nats.
        token_kl: (W, S-1) KL(dense || pruned) of the prediction at each position, nats.
        agrees: (W, S-1) whether the likeliest next token is the dense model's.
        windows_total: the number of windows once the evaluation is finished.
        parameters_dense, parameters_pruned: the number of weights in the model, and without the dropped blocks.
        bytes_dense, bytes_pruned: the memory of these weights in the loaded model.
        dtype: the number type the model ran in.
        beginning: the token ids that the model read before each window.
        notes: sentences about how the text was read.
        repair: the name of the repair that the pruned model ran with; empty for none.
    """

    drop: PruneSet
    token_ids: np.ndarray
    token_nll: np.ndarray
    dense_token_nll: np.ndarray
    token_kl: np.ndarray
    agrees: np.ndarray
    windows_total: int
    parameters_dense: int
    parameters_pruned: int
    bytes_dense: int
    bytes_pruned: int
    dtype: str
    beginning: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    repair: str = ""

    @property
    def windows(self) -> int:
        """The number of windows finished so far."""
        return len(self.token_nll)

    @property
    def window_length(self) -> int:
        """The number of tokens of the text in each window."""
        return int(self.token_ids.shape[1])

    @property
    def tokens(self) -> int:
        """The number of tokens scored so far."""
        return int(self.token_nll.size)

    @property
    def nll(self) -> float:
        """Mean loss a token, nats."""
        return float(self.token_nll.mean())

    @property
    def nll_standard_error(self) -> float:
        """Standard error of :attr:`nll`, nats; see :mod:`entviz.statistics`."""
        return _standard_error(self.token_nll)

    @property
    def nll_increase(self) -> Interval:
        """Mean loss increase over the dense model, nats a token, with its 95% interval. Tokens are paired."""
        return self.nll_above(self.dense_token_nll)

    def nll_above(self, token_nll: np.ndarray) -> Interval:
        """Mean loss minus the mean of ``token_nll`` (W, S-1) of the same tokens, with its 95% interval, in nats."""
        return interval(cosine_averages(self.token_nll - token_nll))

    @property
    def perplexity(self) -> float:
        """exp of the mean loss; exp(700) if the loss is 700 nats or more."""
        return perplexity(self.nll)

    @property
    def per_window_nll(self) -> list[float]:
        """Mean loss a token of each window, nats."""
        return [float(value) for value in self.token_nll.mean(axis=1)]

    @property
    def dense_nll(self) -> float:
        """Mean loss a token of the dense model on the same windows, nats."""
        return float(self.dense_token_nll.mean())

    @property
    def dense_perplexity(self) -> float:
        """exp of the dense model's mean loss."""
        return perplexity(self.dense_nll)

    @property
    def kl(self) -> float:
        """Mean KL(dense || pruned) over positions, nats."""
        return float(self.token_kl.mean())

    @property
    def kl_standard_error(self) -> float:
        """Standard error of :attr:`kl`, nats; see :mod:`entviz.statistics`."""
        return _standard_error(self.token_kl)

    @property
    def kl_interval(self) -> Interval:
        """:attr:`kl` with its 95% interval, nats."""
        return interval(cosine_averages(self.token_kl))

    @property
    def top1_agreement(self) -> float:
        """The share of positions at which the likeliest next token is the same as the dense model's."""
        return float(self.agrees.mean())

    def to_json(self) -> dict[str, Any]:
        """Plain data: drop, nll, perplexity, per_window_nll, dense, kl, top1_agreement, parameters, and more.

        A perplexity is None if the loss is 700 nats or more.
        """
        return {
            "drop": [str(block) for block in self.drop],
            "nll": self.nll,
            "perplexity": or_none(self.perplexity),
            "per_window_nll": self.per_window_nll,
            "nll_standard_error": _finite(self.nll_standard_error),
            "nll_increase": self.nll_increase.to_json(),
            "dense": {"nll": self.dense_nll, "perplexity": or_none(self.dense_perplexity)},
            "kl": self.kl,
            "kl_interval": self.kl_interval.to_json(),
            "top1_agreement": self.top1_agreement,
            "parameters": {"dense": self.parameters_dense, "pruned": self.parameters_pruned},
            "bytes": {"dense": self.bytes_dense, "pruned": self.bytes_pruned},
            "windows": self.windows,
            "window_length": self.window_length,
            "dtype": self.dtype,
            "beginning": list(self.beginning),
            **({"repair": self.repair} if self.repair else {}),
            **noted(self.notes),
        }


def evaluate(
    loaded: LoadedModel,
    windows: Windows,
    drop: PruneSet,
    *,
    dtype: str = "float32",
    repair: Repair | None = None,
    cache: StateCache | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Measure what dropping ``drop`` costs on ``windows``. The model is not changed.

    Args:
        dtype: the number type to run in, or ``auto`` for the fastest that is accurate enough on this device (see
            :mod:`entviz.decoder.precision`). If it is not the model's type, the weights are copied once.
        repair: the result of :func:`entviz.repair.fit` for this prune set, with which the pruned model runs.
        cache: hidden states to start from, shared between calls; see :class:`entviz.decoder.states.StateCache`.
        progress: receives an :class:`Evaluation` of the windows so far after each batch of windows.

    Raises:
        BlockError: if the prune set names a block that the model lacks, or leaves no block in the model.
        OptionError: if the repair was fitted for another prune set.
        ModelError: if a number of the dense or the pruned model is not finite; the message says why.
    """
    drop.check(loaded.layers)
    if repair is not None:
        repair.check(drop)
    dtype = resolved(dtype, loaded.device)
    loaded = loaded.in_dtype(dtype)
    anatomy = loaded.anatomy if repair is None else repair.on(loaded.anatomy)
    cache = cache if cache is not None else StateCache(0)
    result = _nothing_yet(loaded, windows, drop, dtype, repair)
    size = windows_per_batch(loaded.anatomy, windows.input_length)
    total = len(windows) * (anatomy.layers + 1)
    with torch.inference_mode():
        for first, token_ids in batches(windows.inputs, size, first=1):
            done = first * (anatomy.layers + 1)
            text = TextOnDevice.of(loaded, dtype, token_ids, windows)
            report = _Report(progress, done, total, len(token_ids))
            dense = dense_on(loaded, text, cache, report.tick)
            scores = _scores(loaded, anatomy, text, drop, repair, dense, cache, report)
            result = _extended(result, token_ids[:, text.before :], dense, scores)
            progress(done + len(token_ids) * (anatomy.layers + 1), total, result)
    return result


class _Report:
    """Reports each finished layer to the caller's progress function, which can raise to stop the work."""

    def __init__(self, progress: Progress, done: int, total: int, windows: int) -> None:
        self.progress, self.done, self.total, self.windows = progress, done, total, windows

    def layer(self, layer: int) -> None:
        self.progress(self.done + self.windows * layer, self.total)

    def tick(self) -> None:
        self.progress(self.done, self.total)


@dataclass(frozen=True, eq=False)
class TextOnDevice:
    """Windows on the model's device.

    Attributes:
        token_ids: (windows, before + tokens) on the model's device.
        before: the number of beginning tokens in each window, which are not part of the text.
        key: the part of a state's key that does not depend on the prune set: the weights, number type and token ids.
    """

    token_ids: Tensor
    before: int
    key: Hashable

    @classmethod
    def of(cls, loaded: LoadedModel, dtype: str, token_ids: Tensor, windows: Windows) -> TextOnDevice:
        """The given rows of the ``inputs`` of ``windows``."""
        before = len(windows.beginning)
        return cls(token_ids.to(loaded.device), before, text_key(loaded.fingerprint, dtype, token_ids))

    def scored(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """The positions that predict a token of the text, and the token that follows each.

        A window's first token is not predicted, because no token of the text comes before it.
        """
        targets = self.token_ids[:, self.before + 1 :].flatten().to(hidden.device)
        return hidden[:, self.before : -1].flatten(0, 1), targets


def dense_on(
    loaded: LoadedModel, text: TextOnDevice, cache: StateCache, tick: Callable[[], None]
) -> DenseReference:
    """The dense model's predictions on a text, taken from the cache if they are there.

    ``tick`` is called often, and can raise to stop. Raises ``ModelError`` if a prediction is not finite.
    """
    anatomy = loaded.anatomy
    key = ("dense", text.key, text.before)
    known = cache.get(key)
    if known is not None:
        return DenseReference(*known)
    hidden = run_pruned(
        anatomy, text.token_ids, PruneSet(), cache=cache, text=text.key, after_layer=lambda _: tick()
    )
    states, targets = text.scored(hidden)
    check(states, loaded, text.token_ids)  # before the projection, which takes the longest
    made = dense_reference(anatomy.head, states, targets, after_chunk=tick)
    check(made.nll, loaded, text.token_ids)
    cache.put(key, *made.tensors())
    return made


def _scores(
    loaded: LoadedModel,
    anatomy: Anatomy,
    text: TextOnDevice,
    drop: PruneSet,
    repair: Repair | None,
    dense: DenseReference,
    cache: StateCache,
    report: _Report,
) -> Scores:
    if not drop:
        return Scores(dense.nll, torch.zeros_like(dense.nll), torch.ones_like(dense.best, dtype=torch.bool))
    key = ("scores", text.key, text.before, drop, anatomy.changes)
    known = cache.get(key)
    if known is not None:
        return Scores(*known)
    hidden = run_pruned(anatomy, text.token_ids, drop, cache=cache, text=text.key, after_layer=report.layer)
    made = score(loaded.anatomy.head, *text.scored(hidden), dense, after_chunk=report.tick)
    check(made.nll + made.kl, loaded, text.token_ids, drop, repair)
    cache.put(key, made.nll, made.kl, made.agrees)
    return made


def _nothing_yet(
    loaded: LoadedModel, windows: Windows, drop: PruneSet, dtype: str, repair: Repair | None
) -> Evaluation:
    gone = loaded.anatomy.parameters(drop).values()
    length = windows.length
    empty = np.empty((0, length - 1))
    return Evaluation(
        drop=drop,
        token_ids=np.empty((0, length), dtype=np.int64),
        token_nll=empty,
        dense_token_nll=empty,
        token_kl=empty,
        agrees=empty.astype(bool),
        windows_total=len(windows),
        parameters_dense=loaded.parameters,
        parameters_pruned=loaded.parameters
        - sum(parameter.numel() for parameter in gone)
        + (0 if repair is None else repair.parameters),
        bytes_dense=loaded.bytes,
        bytes_pruned=loaded.bytes
        - sum(parameter.numel() * parameter.element_size() for parameter in gone)
        + (0 if repair is None else repair.parameters * loaded.dtype.itemsize),
        dtype=dtype,
        beginning=windows.beginning,
        notes=notes_on(loaded, windows),
        repair="" if repair is None else repair.method,
    )


def _extended(result: Evaluation, token_ids: Tensor, dense: DenseReference, scores: Scores) -> Evaluation:
    shape = (token_ids.shape[0], token_ids.shape[1] - 1)

    def grown(old: np.ndarray, new: Tensor) -> np.ndarray:
        return np.concatenate([old, new.cpu().numpy().reshape(-1, *old.shape[1:])])

    return replace(
        result,
        token_ids=grown(result.token_ids, token_ids),
        token_nll=grown(result.token_nll, scores.nll.reshape(shape)),
        dense_token_nll=grown(result.dense_token_nll, dense.nll.reshape(shape)),
        token_kl=grown(result.token_kl, scores.kl.reshape(shape)),
        agrees=grown(result.agrees, scores.agrees.reshape(shape)),
    )


def _standard_error(values: np.ndarray) -> float:
    return float(standard_error(cosine_averages(values)))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
