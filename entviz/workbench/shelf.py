"""The models in memory: few at a time, each loaded once however many sessions ask for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil

from entviz.progress import Progress, silent, waiting_for
from entviz.workbench.identity import model_identity

if TYPE_CHECKING:
    from entviz.models import LoadedModel

_WITH_COPY = 1.5  # a model in float32 and its copy in bfloat16 take one and a half times its bytes


class Shelf:
    """Loaded models by name.

    Args:
        kept: how many stay in memory; the least recently used is let go before another is loaded.
        memory_bytes: what they may take together, where there is more than one; half of the machine's by default.
    """

    def __init__(self, kept: int = 2, memory_bytes: int | None = None) -> None:
        self.kept = max(1, kept)
        self.memory_bytes = psutil.virtual_memory().total // 2 if memory_bytes is None else memory_bytes
        self._lock = threading.Lock()
        self._models: OrderedDict[str, tuple[str | None, LoadedModel]] = OrderedDict()
        self._gates: dict[
            str, tuple[threading.Lock, int]
        ] = {}  # of names being loaded, and how many are there

    def find(self, name: str) -> LoadedModel | None:
        """A model if it is in memory and its files have not changed, else None."""
        identity = model_identity(name)
        with self._lock:
            known = self._models.get(name)
            if known is None or known[0] != identity:
                return None
            self._models.move_to_end(name)
            return known[1]

    def get(self, name: str, progress: Progress = silent) -> LoadedModel:
        """A model, loaded now if it is not in memory or its files have changed.

        Raises ``ModelError`` where it cannot be loaded, and ``Cancelled`` where ``progress``, which is called now and
        then, says so. Takes as long as loading takes, downloads included.
        """
        with self._one_at_a_time(name, progress):
            return self.find(name) or self._load(name, progress)

    @contextmanager
    def _one_at_a_time(self, name: str, progress: Progress) -> Iterator[None]:
        """The gate of a name, which is there as long as anybody waits at it: also where loading fails for the first."""
        with self._lock:
            gate, waiting = self._gates.get(name, (threading.Lock(), 0))
            self._gates[name] = (gate, waiting + 1)
        try:
            with waiting_for(gate, progress):
                yield
        finally:
            with self._lock:
                gate, waiting = self._gates.pop(name)
                if waiting > 1:
                    self._gates[name] = (gate, waiting - 1)

    def _load(self, name: str, progress: Progress) -> LoadedModel:
        from entviz.models import load

        with self._lock:  # before loading, or the old ones and the new one would be in memory at once
            self._models.pop(name, None)
            while len(self._models) >= self.kept:
                self._models.popitem(last=False)
        loaded = load(name, progress=progress)
        with self._lock:
            self._models[name] = (model_identity(name), loaded)
            while len(self._models) > 1 and self._bytes() > self.memory_bytes:
                self._models.popitem(last=False)
        return loaded

    def _bytes(self) -> float:
        return sum(_WITH_COPY * loaded.bytes for _, loaded in self._models.values())
