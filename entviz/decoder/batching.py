"""How many windows go through the model at once: enough to keep the device busy, few enough to fit.

    size = windows_per_batch(loaded.anatomy, window_length=256)
    for first, token_ids in batches(windows.inputs, size):
        ...

What a token takes is measured, not guessed: one window goes through one layer while the tensors alive are counted.
Architectures differ in it by far more than their widths (experts, attention that writes its scores down).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import psutil
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from entviz.decoder.anatomy import Anatomy

# Matrix products on a processor reach full speed at a few hundred rows; larger batches only cost memory and make
# progress, cancelling and the first number coarser. An accelerator wants as many as fit.
_ENOUGH_TOKENS_ON_CPU = 512
_MOST_TOKENS = 2**17
_SHARE = 4  # temporaries may take a quarter of the free memory: the estimators and the logits need some too

_measured: WeakKeyDictionary[Anatomy, dict[int, float]] = WeakKeyDictionary()


def tokens_per_batch(anatomy: Anatomy, window_length: int) -> int:
    """How many tokens, in windows of ``window_length``, to run together."""
    enough = _ENOUGH_TOKENS_ON_CPU if _device(anatomy).type == "cpu" else _MOST_TOKENS
    # Rounded up to a power of two, so that few lengths are measured.
    length = 2 ** math.ceil(math.log2(max(2, window_length)))
    if anatomy.most_tokens is not None:
        length = min(length, anatomy.most_tokens)
    lengths = _measured.setdefault(anatomy, {})
    if length not in lengths:
        lengths[length] = bytes_per_token(anatomy, length)
    return max(1, min(enough, int(_free_bytes(anatomy) / _SHARE / lengths[length])))


def windows_per_batch(anatomy: Anatomy, window_length: int) -> int:
    """How many windows of ``window_length`` tokens to run together; at least one."""
    return max(1, tokens_per_batch(anatomy, window_length) // window_length)


def batches(token_ids: Tensor, size: int, first: int | None = None) -> Iterator[tuple[int, Tensor]]:
    """Runs of ``size`` windows of ``token_ids`` (windows, tokens), each with the number of its first window.

    The first run may be shorter, of ``first`` windows, so that something is there sooner.
    """
    start, count = 0, min(size, first or size)
    while start < token_ids.shape[0]:
        yield start, token_ids[start : start + count]
        start, count = start + count, size


def bytes_per_token(anatomy: Anatomy, window_length: int) -> float:
    """The most bytes of temporaries alive at once in a layer, for each of the ``window_length`` tokens of a window."""
    token_ids = torch.zeros(1, window_length, dtype=torch.long, device=_device(anatomy))
    with torch.inference_mode():
        hidden, calls = anatomy.begin(token_ids)
        # The last of the layers: in models of mixed kinds the first ones are often the small ones.
        with _TensorsAlive() as alive:
            anatomy.split_layers[-1].trace(
                hidden.to(next(anatomy.split_layers[-1].layer.parameters()).device), calls[-1]
            )
    return (alive.peak + hidden.numel() * hidden.element_size()) / window_length


class _TensorsAlive(TorchDispatchMode):
    """Counts the bytes of all tensors that operations inside make, while they live."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._sizes: dict[StorageWeakRef, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(output):
            if isinstance(leaf, Tensor) and not leaf.is_meta:
                self._sizes[StorageWeakRef(leaf.untyped_storage())] = leaf.untyped_storage().nbytes()
        self._sizes = {storage: size for storage, size in self._sizes.items() if not storage.expired()}
        self.peak = max(self.peak, sum(self._sizes.values()))
        return output


def _device(anatomy: Anatomy) -> torch.device:
    """Where the embedding lies, so where token ids must go."""
    device: torch.device = anatomy.model.get_input_embeddings().weight.device
    return device


def _free_bytes(anatomy: Anatomy) -> int:
    """Free memory of the fullest device that holds a part of the model."""
    devices = {weight.device for weight in anatomy.model.parameters()}
    free = [torch.cuda.mem_get_info(device)[0] for device in devices if device.type == "cuda"]
    return int(min(free, default=psutil.virtual_memory().available))
