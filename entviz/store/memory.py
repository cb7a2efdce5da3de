"""The newest results, ready to be handed out, as long as they do not take too much memory."""

import threading
from collections import OrderedDict
from typing import Any


class Memory:
    """Values by key; the least recently used are forgotten when together they take more than ``capacity`` bytes."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._lock = threading.Lock()
        self._values: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._bytes = 0

    @property
    def bytes(self) -> int:
        return self._bytes

    def get(self, key: str) -> Any:
        """The value, or None."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: str, value: Any, size: int) -> None:
        """Keep a value of ``size`` bytes, unless it alone is too large."""
        with self._lock:
            self._bytes -= self._values.pop(key, (None, 0))[1]
            if size > self.capacity:
                return
            self._values[key] = (value, size)
            self._bytes += size
            while self._bytes > self.capacity:
                self._bytes -= self._values.popitem(last=False)[1][1]

    def forget(self, key: str) -> None:
        """Let go of a value, if it is here."""
        with self._lock:
            self._bytes -= self._values.pop(key, (None, 0))[1]

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._values.clear()
            self._bytes = 0
