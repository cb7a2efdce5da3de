"""The most recently used results, in a bounded amount of memory."""

import threading
from typing import Any

from cachetools import LRUCache


class Memory:
    """Values by key. The least recently used are removed when all together take more than ``capacity`` bytes."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._lock = threading.Lock()
        # Values with their sizes in bytes.
        self._values: LRUCache[str, tuple[Any, int]] = LRUCache(capacity, getsizeof=lambda entry: entry[1])

    @property
    def bytes(self) -> int:
        return int(self._values.currsize)

    def get(self, key: str) -> Any:
        """The value, or None."""
        with self._lock:
            return self._values.get(key, (None, 0))[0]

    def put(self, key: str, value: Any, size: int) -> None:
        """Keep a value of ``size`` bytes, unless it is larger than the capacity."""
        with self._lock:
            self._values.pop(key, None)
            if size <= self.capacity:
                self._values[key] = (value, size)

    def forget(self, key: str) -> None:
        """Remove a value, if it is here."""
        with self._lock:
            self._values.pop(key, None)

    def clear(self) -> None:
        """Remove all values."""
        with self._lock:
            self._values.clear()
