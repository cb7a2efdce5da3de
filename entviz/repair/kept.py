"""What fits leave for the next fit: hidden states of the calibration text, and places that were fitted.

    kept = Kept()
    fit(loaded, calibration, PruneSet.parse("attn.5"), "refit", kept=kept)
    fit(loaded, calibration, PruneSet.parse("attn.5,attn.9"), "refit", kept=kept)   # fits what attn.9 leaves behind

A place is fitted by depth, so that it depends on what is dropped before its end and on nothing behind. One more dropped
block leaves all places before it as they are.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable

from cachetools import LRUCache

from entviz.decoder.patches import Patch
from entviz.decoder.states import StateCache, default_capacity
from entviz.repair.repair import Fit

Fitted = tuple[Patch | None, Fit]
_SHARE = 2  # of the capacity, for the dense model's hidden states: more would push out all that is kept


class Kept:
    """Bounded, and shared by threads. ``capacity`` is that of hidden states and that of patches, in bytes each."""

    def __init__(self, capacity: int | None = None) -> None:
        self.states = StateCache(default_capacity() if capacity is None else capacity)
        self._places: LRUCache[Hashable, Fitted] = LRUCache(self.states.capacity, getsizeof=_bytes)
        self._lock = threading.Lock()

    def states_for(self, layers: int, numbers: int, size: int) -> StateCache | None:
        """The hidden states, if the dense model's fit: ``numbers`` of ``size`` bytes at the end of each layer."""
        return self.states if layers * numbers * size <= self.states.capacity / _SHARE else None

    def get(self, key: Hashable) -> Fitted | None:
        """What was fitted at a place."""
        with self._lock:
            return self._places.get(key)

    def put(self, key: Hashable, fitted: Fitted) -> None:
        """Keep what was fitted at a place."""
        if _bytes(fitted) <= self._places.maxsize:
            with self._lock:
                self._places[key] = fitted


def _bytes(fitted: Fitted) -> int:
    patch = fitted[0]
    tensors = () if patch is None else patch.tensors().values()
    return 1000 + sum(tensor.numel() * tensor.element_size() for tensor in tensors)
