"""The number of windows that go through the model at once: enough to keep the device busy, few enough to fit.

    size = windows_per_batch(loaded.anatomy, window_length=256)
    for first, token_ids in batches(windows.inputs, size):
        ...

The memory of a token is measured: one window goes through one layer while the live tensors are counted. Architectures
differ in it by much more than their widths do, for example because of experts or stored attention scores.
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
from entviz.decoder.offloading import is_offloaded, running_device

# Matrix products on a processor reach full speed at a few hundred rows. Larger batches only need more memory, report
# progress less often, and delay cancelling and the first number. On an accelerator batches are as large as possible.
_ENOUGH_TOKENS_ON_CPU = 512
_MOST_TOKENS = 2**17
_SHARE = 4  # the share of free memory for temporaries; the estimators and the logits need some too

_measured: WeakKeyDictionary[Anatomy, dict[int, float]] = WeakKeyDictionary()


def tokens_per_batch(anatomy: Anatomy, window_length: int, *, resident: bool = False) -> int:
    """The number of tokens to run together, in windows of ``window_length`` tokens.

    Layers that are kept on disk are read for every batch, so there as many tokens go together as memory holds, unless
    the caller keeps a layer ``resident`` for all batches.
    """
    small = _device(anatomy).type == "cpu" and (resident or not is_offloaded(anatomy.split_layers[-1].layer))
    enough = _ENOUGH_TOKENS_ON_CPU if small else _MOST_TOKENS
    # Lengths are rounded up to a power of two, so that few of them have to be measured.
    length = 2 ** math.ceil(math.log2(max(2, window_length)))
    if anatomy.most_tokens is not None:
        length = min(length, anatomy.most_tokens)
    lengths = _measured.setdefault(anatomy, {})
    if length not in lengths:
        lengths[length] = bytes_per_token(anatomy, length)
    return max(1, min(enough, int(_free_bytes(anatomy) / _SHARE / lengths[length])))


def windows_per_batch(anatomy: Anatomy, window_length: int, *, resident: bool = False) -> int:
    """The number of windows of ``window_length`` tokens to run together; at least 1.

    ``resident`` is as for :func:`tokens_per_batch`.
    """
    return max(1, tokens_per_batch(anatomy, window_length, resident=resident) // window_length)


def batches(token_ids: Tensor, size: int, first: int | None = None) -> Iterator[tuple[int, Tensor]]:
    """Batches of ``size`` windows of ``token_ids`` (windows, tokens), each with the number of its first window.

    The first batch can be smaller, of ``first`` windows, so that a first result is available sooner.
    """
    start, count = 0, min(size, first or size)
    while start < token_ids.shape[0]:
        yield start, token_ids[start : start + count]
        start, count = start + count, size


def bytes_per_token(anatomy: Anatomy, window_length: int) -> float:
    """The peak size of a layer's temporaries in bytes, for each of the ``window_length`` tokens of a window."""
    token_ids = torch.zeros(1, window_length, dtype=torch.long, device=_device(anatomy))
    with torch.inference_mode():
        hidden, calls = anatomy.begin(token_ids)
        # The last layer is measured: in models with different kinds of layers, the first ones are often small.
        with _TensorsAlive() as alive:
            anatomy.split_layers[-1].trace(
                hidden.to(running_device(anatomy.split_layers[-1].layer)), calls[-1]
            )
    return (alive.peak + hidden.numel() * hidden.element_size()) / window_length


class _TensorsAlive(TorchDispatchMode):
    """Counts the bytes of all live tensors that operations inside it create."""

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
    """The device of the embedding, to which token ids must be moved."""
    return running_device(anatomy.model.get_input_embeddings())


def _free_bytes(anatomy: Anatomy) -> int:
    """The free memory of the fullest device among those that hold a part of the model, in bytes."""
    devices = {weight.device for weight in anatomy.model.parameters()}
    free = [torch.cuda.mem_get_info(device)[0] for device in devices if device.type == "cuda"]
    return int(min(free, default=psutil.virtual_memory().available))
