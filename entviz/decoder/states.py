"""A bounded cache of hidden states, so that a run starts where it first differs from one done before.

Hidden states at layer i depend on the text and on the blocks dropped before i, and on nothing else. That is the key:
a new tick at layer i, or unticking it, finds all that lies before i already there.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import psutil
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
        self._entries: OrderedDict[Hashable, tuple[int, Any]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """What the cached tensors take, in bytes."""
        return self._bytes

    def get(self, key: Hashable) -> Any:
        """The entry under ``key``, now the most recently used, or None."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][1]

    def put(self, key: Hashable, *tensors: Tensor) -> None:
        """Keep ``tensors`` under ``key``: one is kept as it is, several as a tuple."""
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        if size > self.capacity:
            return
        with self._lock:
            if key in self._entries:
                self._bytes -= self._entries.pop(key)[0]
            self._entries[key] = (size, tensors[0] if len(tensors) == 1 else tensors)
            self._bytes += size
            while self._bytes > self.capacity:
                self._bytes -= self._entries.popitem(last=False)[1][0]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0


def prefix_key(text: Hashable, drop: PruneSet, layer: int) -> Hashable:
    """The key of what enters ``layer`` when ``drop`` is dropped; ``text`` says which model, type and windows."""
    return (
        text,
        layer,
        frozenset(i for i in drop.attention if i < layer),
        frozenset(i for i in drop.mlp if i < layer),
    )
