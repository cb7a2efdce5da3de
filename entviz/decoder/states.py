"""A bounded cache of hidden states, so that a run starts where it first differs from one done before.

Hidden states at layer i depend on the text and on the blocks dropped before i, and on nothing else. That is the key:
a new tick at layer i, or unticking it, finds all that lies before i already there.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Hashable
from typing import Any

import psutil
from cachetools import LRUCache
from torch import Tensor

from entviz.blocks import PruneSet


def default_capacity() -> int:
    """1 GB or a tenth of the machine's memory, whichever is less, in bytes."""
    return int(min(1e9, psutil.virtual_memory().total / 10))


class StateCache:
    """Tensors by key, the least recently used forgotten first once they take more than ``capacity`` bytes.

    Safe to share between threads. The tensors in it must not be written to.
    """

    def __init__(self, capacity: int | None = None) -> None:
        self.capacity = default_capacity() if capacity is None else capacity
        self._entries: LRUCache[Hashable, tuple[Tensor, ...]] = LRUCache(self.capacity, getsizeof=_bytes)
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """What the cached tensors take, in bytes."""
        return int(self._entries.currsize)

    def get(self, key: Hashable) -> Any:
        """The entry under ``key``, now the most recently used, or None."""
        with self._lock:
            entry = self._entries.get(key)
        return entry[0] if entry is not None and len(entry) == 1 else entry

    def put(self, key: Hashable, *tensors: Tensor) -> None:
        """Keep ``tensors`` under ``key``: one is kept as it is, several as a tuple."""
        if _bytes(tensors) <= self.capacity:
            with self._lock:
                self._entries[key] = tensors

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()


def text_key(fingerprint: str, dtype: str, token_ids: Tensor) -> Hashable:
    """What a hidden state depends on besides the prune set: the weights, the number type that they run in, the ids."""
    digest = hashlib.blake2b(token_ids.numpy().tobytes(), digest_size=16).digest()
    return (fingerprint, dtype, tuple(token_ids.shape), digest)


def prefix_key(text: Hashable, drop: PruneSet, layer: int) -> Hashable:
    """The key of what enters ``layer`` when ``drop`` is dropped; ``text`` says which model, type and windows."""
    return (
        text,
        layer,
        frozenset(i for i in drop.attention if i < layer),
        frozenset(i for i in drop.mlp if i < layer),
    )


def _bytes(tensors: tuple[Tensor, ...]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
