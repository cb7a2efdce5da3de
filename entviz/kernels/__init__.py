"""The inner loops of estimators and of scoring as machine code, for tensors in the processor's memory.

Each function gives the same result as plain torch (the ``..._by_torch`` function of the same estimator), several times
faster. Before the first call nothing is compiled and numba is not imported. If numba is missing or fails, ``apply_to``
returns False and torch does the work.
"""

from __future__ import annotations

import functools
import logging
import threading
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from entviz.kernels import threads

_log = logging.getLogger(__name__)
_loading = threading.Lock()

_DIMENSIONS_AT_ONCE = 128
_MOST_TOKENS = 32768  # numbers of pairs are counted in 32 bits


class _Kernels(NamedTuple):
    columns: ModuleType
    distances: ModuleType
    logits: ModuleType
    rows: ModuleType


def load() -> _Kernels | None:
    """Compile the kernels, or read them from numba's cache; None if that is not possible.

    This happens automatically when they are first needed. Calling it early in a thread avoids the wait in the first
    analysis.
    """
    with _loading:
        return _load()


@functools.cache
def _load() -> _Kernels | None:
    try:
        from entviz.kernels import columns, distances, logits, rows
    except Exception as error:  # noqa: BLE001  whatever numba or LLVM raises: it is logged, and torch gives the same numbers
        _log.warning(
            "Estimators run in torch, which is slower, because the kernels cannot be compiled: %s", error
        )
        return None
    return _Kernels(columns, distances, logits, rows)


def apply_to(states: Tensor) -> bool:
    """Whether these states can be measured by the functions below."""
    return states.device.type == "cpu" and states.shape[1] <= _MOST_TOKENS and load() is not None


def apply_to_logits(logits: Tensor) -> bool:
    """Whether :func:`add_exponentials` can take these logits. It returns False instead of waiting for a compilation."""
    known = logits.dtype in (torch.float32, torch.bfloat16) and logits.stride(-1) == 1
    return known and logits.device.type == "cpu" and _load.cache_info().currsize > 0 and _load() is not None


def _loaded() -> _Kernels:
    kernels = load()
    if kernels is None:
        raise RuntimeError("The kernels cannot be compiled here; ask apply_to first.")
    return kernels


@functools.lru_cache(maxsize=8)
def _count_log_count(tokens: int) -> np.ndarray:
    counts = np.arange(tokens + 1, dtype=np.float64)
    return counts * np.log(np.maximum(counts, 1))


def bucket(states: Tensor, buckets: int) -> Tensor:
    """Bucket entropy. states: float32 (windows, tokens, width) -> float64 (windows,)."""
    windows, tokens, width = states.shape
    runs = -(-width // _DIMENSIONS_AT_ONCE)
    totals = np.full((windows, runs), np.nan)
    threads.run(
        *(_loaded().columns.count, windows * runs, states.numel()),
        *(states.numpy(), runs, _DIMENSIONS_AT_ONCE, buckets, _count_log_count(tokens), totals),
    )
    return torch.from_numpy(width * np.log(tokens) - totals.sum(axis=1) / tokens)


def standardized(states: Tensor) -> Tensor:
    """Scale every dimension of every window to mean 0 and deviation 1. float32 (windows, tokens, width)."""
    windows, _, width = states.shape
    runs = -(-width // _DIMENSIONS_AT_ONCE)
    result = torch.empty_like(states)
    threads.run(
        *(_loaded().columns.standardize, windows * runs, states.numel()),
        *(states.numpy(), runs, _DIMENSIONS_AT_ONCE, result.numpy()),
    )
    return result


def kth_squared_distance(products: Tensor, k: int) -> Tensor:
    """Squared distance to the k-th nearest other token.

    products: Gram matrices, float32 (windows, tokens, tokens) -> float32 (windows, tokens).
    """
    nearest = np.full(products.shape[:2], np.nan, np.float32)
    kernel = _loaded().distances.kth_nearest
    threads.run(kernel, nearest.size, 4 * products.numel(), products.numpy(), k, nearest)
    return torch.from_numpy(nearest)


def renyi(products: Tensor, alpha: float, smallest_similarity: float) -> tuple[Tensor, Tensor]:
    """Renyi entropy from Gram matrices of standardized states, float32 (windows, tokens, tokens).

    Only values on and above their diagonals are read.

    Returns:
        The entropies, and the medians of the squared distances; both float64 (windows,).
    """
    windows = len(products)
    entropies, medians = np.full(windows, np.nan), np.full(windows, np.nan)
    threads.run(
        *(_loaded().distances.renyi, windows, 8 * products.numel()),
        *(products.numpy(), alpha, smallest_similarity, entropies, medians),
    )
    return torch.from_numpy(entropies), torch.from_numpy(medians)


def mean_cosines(*sites: Tensor) -> list[Tensor]:
    """Mean cosines between two or three sites, each float32 (windows, tokens, width).

    Returns:
        [xy] for sites x, y; [xy, yz, xz] for sites x, y, z. Each float64 (windows,).
    """
    windows, tokens, width = sites[0].shape
    cosines = np.full((1 if len(sites) == 2 else 3, windows * tokens), np.nan)
    rows = _loaded().rows
    kernel = rows.cosines_of_two if len(sites) == 2 else rows.cosines_of_three
    states = [site.numpy().reshape(windows * tokens, width) for site in sites]
    threads.run(kernel, windows * tokens, len(sites) * sites[0].numel() // 4, *states, cosines)
    return list(torch.from_numpy(cosines.reshape(-1, windows, tokens).mean(axis=2)))


def add_exponentials(logits: Tensor, first: int, maxima: Tensor, totals: Tensor, best: Tensor) -> None:
    """Add a tile of logits to each row's running sum of exponentials, exp(maximum) * total, and to its argmax.

    Args:
        logits: float32 or bfloat16, shape (rows, tile).
        first: the token id at which the tile begins.
        maxima, totals, best: the running maximum, float32, the sum of exp(logit - maximum), float64, and the token id
            of the maximum, int64, each of shape (rows,). Changed in place.
    """
    rows, tile = logits.shape
    stride = logits.stride(0)
    flat = logits.as_strided(((rows - 1) * stride + tile,), (1,))
    kernels = _loaded().logits
    kernel, flat = (
        (kernels.float32, flat)
        if logits.dtype == torch.float32
        else (kernels.bfloat16, flat.view(torch.int16))
    )
    threads.run(
        *(kernel, rows, 2 * logits.numel()),
        *(flat.numpy(), tile, stride, first, maxima.numpy(), totals.numpy(), best.numpy()),
    )
