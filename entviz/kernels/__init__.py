"""The inner loops of estimators and of scoring as machine code, for tensors in the processor's memory.

Each function gives what plain torch gives (the ``..._by_torch`` function of the same estimator), several times faster.
Nothing is compiled and numba is not imported before the first call; where numba is missing or fails, ``apply_to`` says
no, and torch does the work.
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

from entviz.kernels import team

_log = logging.getLogger(__name__)
_loading = threading.Lock()

_DIMENSIONS_AT_ONCE = 128
_TOKENS_AT_ONCE = 32
_ROWS_AT_ONCE = 8  # of logits
_MOST_TOKENS = 32768  # numbers of pairs are counted in 32 bits


class _Kernels(NamedTuple):
    columns: ModuleType
    distances: ModuleType
    logits: ModuleType
    rows: ModuleType


def load() -> _Kernels | None:
    """Compile the kernels, or read them from numba's cache; None where that cannot be done.

    Happens by itself when first needed. To call it early, in a thread, saves the first analysis the wait.
    """
    with _loading:
        return _load()


@functools.cache
def _load() -> _Kernels | None:
    try:
        from entviz.kernels import columns, distances, logits, rows
    except Exception as error:  # noqa: BLE001  whatever numba or LLVM raise, torch gives the same numbers
        _log.warning(
            "Estimators run in torch, which is slower, because the kernels cannot be compiled: %s", error
        )
        return None
    return _Kernels(columns, distances, logits, rows)


def apply_to(states: Tensor) -> bool:
    """Whether these states can be measured by the functions below."""
    return states.device.type == "cpu" and states.shape[1] <= _MOST_TOKENS and load() is not None


def apply_to_logits(logits: Tensor) -> bool:
    """Whether :func:`add_exponentials` can take these logits. It says no rather than wait for anything to compile."""
    known = logits.dtype in (torch.float32, torch.bfloat16) and logits.stride(-1) == 1
    return known and logits.device.type == "cpu" and _load.cache_info().currsize > 0 and _load() is not None


def _loaded() -> _Kernels:
    kernels = load()
    if kernels is None:
        raise RuntimeError("The kernels cannot be compiled here; ask apply_to first.")
    return kernels


def _head(items: int, *values: int) -> np.ndarray:
    return np.array([0, items, *values], dtype=np.int64)


@functools.lru_cache(maxsize=8)
def _count_log_count(tokens: int) -> np.ndarray:
    counts = np.arange(tokens + 1, dtype=np.float64)
    return counts * np.log(np.maximum(counts, 1))


def bucket(states: Tensor, buckets: int) -> Tensor:
    """Bucket entropy. states: float32 (windows, tokens, width) -> float64 (windows,)."""
    windows, tokens, width = states.shape
    runs = -(-width // _DIMENSIONS_AT_ONCE)
    table, totals = _count_log_count(tokens), np.full((windows, runs), np.nan)
    head = _head(
        windows * runs,
        *(windows, tokens, width, buckets, _DIMENSIONS_AT_ONCE),
        *(states.data_ptr(), table.ctypes.data, totals.ctypes.data),
    )
    team.run(_loaded().columns.count.address, head, states.numel())
    return torch.from_numpy(width * np.log(tokens) - totals.sum(axis=1) / tokens)


def standardized(states: Tensor) -> Tensor:
    """Every dimension of every window with mean 0 and deviation 1. float32 (windows, tokens, width), both."""
    windows, tokens, width = states.shape
    runs = -(-width // _DIMENSIONS_AT_ONCE)
    result = torch.empty_like(states)
    head = _head(
        windows * runs,
        *(windows, tokens, width, _DIMENSIONS_AT_ONCE),
        *(states.data_ptr(), result.data_ptr()),
    )
    team.run(_loaded().columns.standardize.address, head, states.numel())
    return result


def kth_squared_distance(products: Tensor, k: int) -> Tensor:
    """Squared distance to the k-th nearest other token.

    products: Gram matrices, float32 (windows, tokens, tokens) -> float32 (windows, tokens).
    """
    windows, tokens, _ = products.shape
    runs = -(-tokens // _TOKENS_AT_ONCE)
    result = torch.full((windows, tokens), torch.nan, dtype=torch.float32)  # never the process's default type
    head = _head(
        windows * runs,
        *(windows, tokens, k, _TOKENS_AT_ONCE),
        *(products.data_ptr(), result.data_ptr()),
    )
    team.run(_loaded().distances.kth_nearest.address, head, 4 * products.numel())
    return result


def renyi(products: Tensor, alpha: float, smallest_similarity: float) -> tuple[Tensor, Tensor]:
    """Renyi entropy from Gram matrices of standardized states, float32 (windows, tokens, tokens).

    Only what is on and above their diagonals is read.

    Returns:
        The entropies, and the medians of the squared distances; both float64 (windows,).
    """
    windows, tokens, _ = products.shape
    options = np.array([alpha, smallest_similarity])
    entropies, medians = np.full(windows, np.nan), np.full(windows, np.nan)
    head = _head(
        windows,
        *(tokens, products.data_ptr(), options.ctypes.data, entropies.ctypes.data, medians.ctypes.data),
    )
    team.run(_loaded().distances.renyi.address, head, 8 * products.numel())
    return torch.from_numpy(entropies), torch.from_numpy(medians)


def mean_cosines(*sites: Tensor) -> list[Tensor]:
    """Mean cosines between two or three sites, each float32 (windows, tokens, width).

    Returns:
        Of sites x, y: [xy]. Of sites x, y, z: [xy, yz, xz]. Each float64 (windows,).
    """
    windows, tokens, width = sites[0].shape
    cosines = np.full((1 if len(sites) == 2 else 3, windows, tokens), np.nan)
    head = _head(
        -(-windows * tokens // _TOKENS_AT_ONCE),
        *(windows * tokens, width, _TOKENS_AT_ONCE),
        *(site.data_ptr() for site in sites),
        cosines.ctypes.data,
    )
    rows = _loaded().rows
    chosen = rows.cosines_of_two if len(sites) == 2 else rows.cosines_of_three
    team.run(chosen.address, head, len(sites) * sites[0].numel() // 4)
    return list(torch.from_numpy(cosines.mean(axis=2)))


def add_exponentials(logits: Tensor, first: int, maxima: Tensor, totals: Tensor, best: Tensor) -> None:
    """Take a tile of logits into each row's running sum of exponentials, exp(maximum) * total, and its argmax.

    Args:
        logits: float32 or bfloat16, shape (rows, tile).
        first: where in the vocabulary the tile begins.
        maxima, totals, best: the running maximum, float32, the sum of exp(logit - maximum), float64, and the token id
            of the maximum, int64, each of shape (rows,). Changed in place.
    """
    rows, tile = logits.shape
    head = _head(
        -(-rows // _ROWS_AT_ONCE),
        *(rows, tile, logits.stride(0), first, _ROWS_AT_ONCE),
        *(logits.data_ptr(), maxima.data_ptr(), totals.data_ptr(), best.data_ptr()),
    )
    kernels = _loaded().logits
    chosen = kernels.float32 if logits.dtype == torch.float32 else kernels.bfloat16
    team.run(chosen.address, head, 2 * logits.numel())
