"""The hidden states that all studies of a process start from, in one cache that is made at its first use."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from entviz.decoder.states import StateCache


class KeptStates:
    """A cache of hidden states.

    Args:
        most_bytes: its capacity in bytes; None to choose it for the machine.
    """

    def __init__(self, most_bytes: int | None = None) -> None:
        self._most_bytes = most_bytes
        self._cache: StateCache | None = None
        self._making = threading.Lock()

    @property
    def cache(self) -> StateCache:
        """The cache. Making it imports torch, which takes long."""
        from entviz.decoder.states import StateCache

        with self._making:
            if self._cache is None:
                self._cache = StateCache(self._most_bytes)
            return self._cache

    def forget(self) -> None:
        """Free the memory of all hidden states."""
        if self._cache is not None:
            self._cache.clear()
