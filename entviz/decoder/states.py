"""A bounded cache of hidden states, so that a run starts at the first layer that differs from an earlier run.

Hidden states at layer i depend only on the model, the text and the blocks dropped before i. These form the key, so that
ticking or unticking a block at layer i finds the state before i in the cache.
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
    """The default capacity in bytes: 1 GB or a tenth of the machine's memory, whichever is less."""
    return int(min(1e9, psutil.virtual_memory().total / 10))


class StateCache:
    """Tensors by key. The least recently used are removed when all together take more than ``capacity`` bytes.

    Threads can share it. The tensors in it must not be changed.
    """

    def __init__(self, capacity: int | None = None) -> None:
        self.capacity = default_capacity() if capacity is None else capacity
        self._entries: LRUCache[Hashable, tuple[Tensor, ...]] = LRUCache(self.capacity, getsizeof=_bytes)
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """The size of the cached tensors in bytes."""
        return int(self._entries.currsize)

    def get(self, key: Hashable) -> Any:
        """The entry under ``key``, or None. The entry becomes the most recently used."""
        with self._lock:
            entry = self._entries.get(key)
        return entry[0] if entry is not None and len(entry) == 1 else entry

    def put(self, key: Hashable, *tensors: Tensor) -> None:
        """Store ``tensors`` under ``key``: a single tensor as it is, several as a tuple."""
        if _bytes(tensors) <= self.capacity:
            with self._lock:
                self._entries[key] = tensors

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()


def text_key(fingerprint: str, dtype: str, token_ids: Tensor) -> Hashable:
    """The part of a key that does not depend on the prune set: the weights, the number type and the token ids."""
    digest = hashlib.blake2b(token_ids.numpy().tobytes(), digest_size=16).digest()
    return (fingerprint, dtype, tuple(token_ids.shape), digest)


def prefix_key(
    text: Hashable, drop: PruneSet, layer: int, changes: frozenset[tuple[int, str]] = frozenset()
) -> Hashable:
    """The key of the input of ``layer`` when ``drop`` is dropped; ``text`` is the result of :func:`text_key`.

    ``changes`` is the result of :meth:`entviz.decoder.anatomy.Anatomy.changes_before`.
    """
    return (
        text,
        layer,
        frozenset(i for i in drop.attention if i < layer),
        frozenset(i for i in drop.mlp if i < layer),
        *((changes,) if changes else ()),
    )


def _bytes(tensors: tuple[Tensor, ...]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
