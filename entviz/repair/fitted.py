"""The repair that a choice asks for, fitted on its calibration text or kept from before.

    repair = fitted(RepairChoice("refit"), loaded, PruneSet.parse("attn.5,attn.6"))

What was fitted stays in memory up to a bound, so that the cost, the curve and the continuation of one prune set share
a fit.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Hashable
from dataclasses import replace
from typing import Final

import psutil
from cachetools import LRUCache
from torch import nn
from transformers.pytorch_utils import Conv1D

from entviz.blocks import PruneSet
from entviz.decoder.precision import AUTO
from entviz.models.loaded import LoadedModel
from entviz.progress import Progress, part, silent
from entviz.repair.calibration import calibration_windows
from entviz.repair.choice import RepairChoice
from entviz.repair.fitting import fit
from entviz.repair.kept import Kept
from entviz.repair.registry import METHODS
from entviz.repair.repair import Repair
from entviz.repair.self_written import self_written
from entviz.text.windows import Windows

_WRITING: Final = 0.5  # the usual share of the time that writing text takes where it is not kept


def fitted(
    choice: RepairChoice,
    loaded: LoadedModel,
    drop: PruneSet,
    *,
    begin: bool = True,
    progress: Progress = silent,
) -> Repair:
    """The repair of ``drop``; one that was fitted before is not fitted again while it is kept.

    Raises what :meth:`RepairChoice.check`, :func:`calibration_of` and :func:`entviz.repair.fitting.fit` raise.
    """
    choice.check(drop)
    count, length = size_of(choice, loaded)
    choice = replace(choice, windows=count, window_length=length)  # so that it says what it was fitted on
    key = (loaded.fingerprint, str(loaded.dtype), choice, begin, drop)
    with _lock:
        known = _kept.get(key)
    if known is None:
        writing = _WRITING if choice.self_written else 0.0
        windows = calibration_of(choice, loaded, begin=begin, progress=part(progress, 0, writing))
        known = fit(
            loaded,
            windows,
            drop,
            choice.method,
            dtype=AUTO,
            kept=_kept_parts,
            progress=part(progress, writing, 1),
        )
        known = replace(known, choice=choice)
        if _bytes(known) <= _kept.maxsize:
            with _lock:
                _kept[key] = known
    return known


def calibration_of(
    choice: RepairChoice, loaded: LoadedModel, *, begin: bool = True, progress: Progress = silent
) -> list[Windows]:
    """The windows of each kind of text. Raises ``TextError`` for a text that is shorter than a window."""
    count, length = size_of(choice, loaded)
    share = math.ceil(count / (len(choice.texts) + choice.self_written))
    found = calibration_windows(loaded, choice.texts, share, length, begin=begin)
    if choice.self_written:
        left = count - sum(map(len, found))
        found.append(self_written(loaded, windows=max(share, left), length=length, progress=progress))
    return found


def size_of(choice: RepairChoice, loaded: LoadedModel) -> tuple[int, int]:
    """How many windows there are in all, as far as the texts are long enough, and the tokens of each."""
    method = METHODS[choice.method]
    inner = max(map(_reads, loaded.anatomy.split_layers[0].layer.modules()))
    count = method.windows(loaded.width, inner) if choice.windows is None else choice.windows
    length = method.window_length if choice.window_length is None else choice.window_length
    most = loaded.anatomy.most_tokens
    # A beginning token may come before the text's.
    return count, length if most is None else min(length, most - 1)


def _reads(module: nn.Module) -> int:
    """How many numbers a linear map reads for each token; 0 for anything else."""
    if isinstance(module, Conv1D):
        return int(module.weight.shape[0])
    return module.in_features if isinstance(module, nn.Linear) else 0


def _bytes(repair: Repair) -> int:
    tensors = (tensor for patch in repair.patches for tensor in patch.tensors().values())
    return 1000 + sum(tensor.numel() * tensor.element_size() for tensor in tensors)


_lock = threading.Lock()
_kept_parts = Kept()
_kept: LRUCache[Hashable, Repair] = LRUCache(min(1e9, psutil.virtual_memory().total / 20), getsizeof=_bytes)
