"""The models in memory: a few at a time, each loaded only once for all sessions."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil

from entviz.progress import Progress, silent, waiting_for
from entviz.runtime.identity import model_identity
from entviz.studies.samples import Loading

if TYPE_CHECKING:
    from entviz.models import LoadedModel

PAGES = Loading()
_Key = tuple[str, Loading]
_WITH_COPY = 1.5  # a model in float32 and its copy in bfloat16 take one and a half times its bytes


class ModelCache:
    """Loaded models by name and by how they are loaded.

    Args:
        kept: how many models stay in memory; the least recently used is removed before another is loaded.
        memory_bytes: the memory that several models may use together; by default half of the machine's memory. A single
            model may use more.
    """

    def __init__(self, kept: int = 2, memory_bytes: int | None = None) -> None:
        self.kept = max(1, kept)
        self.memory_bytes = psutil.virtual_memory().total // 2 if memory_bytes is None else memory_bytes
        self._lock = threading.Lock()
        self._models: OrderedDict[_Key, tuple[str | None, LoadedModel]] = OrderedDict()
        # For each model that is being loaded: its lock, and the number of threads that hold or wait for it.
        self._gates: dict[_Key, tuple[threading.Lock, int]] = {}

    def find(self, name: str, loading: Loading = PAGES) -> LoadedModel | None:
        """A model if it is in memory and its files have not changed, else None."""
        identity = model_identity(name)
        with self._lock:
            known = self._models.get((name, loading))
            if known is None or known[0] != identity:
                return None
            self._models.move_to_end((name, loading))
            return known[1]

    def get(self, name: str, progress: Progress = silent, loading: Loading = PAGES) -> LoadedModel:
        """A model, loaded now if it is not in memory or its files have changed.

        Raises ``ModelError`` if it cannot be loaded, and ``Cancelled`` if ``progress`` raises it, which is called from
        time to time. This takes as long as loading the model, including downloads.
        """
        key = (name, loading)
        with self._one_at_a_time(key, progress):
            return self.find(name, loading) or self._load(key, progress)

    def put(self, name: str, loaded: LoadedModel, loading: Loading = PAGES) -> None:
        """Keep a model; the least recently used are removed while all together use too much memory."""
        with self._lock:
            self._models[name, loading] = (model_identity(name), loaded)
            while len(self._models) > 1 and self._bytes() > self.memory_bytes:
                self._models.popitem(last=False)

    def held(self) -> dict[str, str | None]:
        """The identities of the files of the models in memory that pages can use, by the models' names."""
        with self._lock:
            return {name: known[0] for (name, loading), known in self._models.items() if loading == PAGES}

    @contextmanager
    def _one_at_a_time(self, key: _Key, progress: Progress) -> Iterator[None]:
        """The lock of a model. It exists as long as a thread waits for it, even if loading fails in another thread."""
        with self._lock:
            gate, waiting = self._gates.get(key, (threading.Lock(), 0))
            self._gates[key] = (gate, waiting + 1)
        try:
            with waiting_for(gate, progress):
                yield
        finally:
            with self._lock:
                gate, waiting = self._gates.pop(key)
                if waiting > 1:
                    self._gates[key] = (gate, waiting - 1)

    def _load(self, key: _Key, progress: Progress) -> LoadedModel:
        from entviz.models.loading import load

        name, loading = key
        with self._lock:  # before loading, or the old ones and the new one would be in memory at once
            self._models.pop(key, None)
            while len(self._models) >= self.kept:
                self._models.popitem(last=False)
        device_map, max_memory = loading.device_map, loading.max_memory
        if device_map is None and loading.device is None:
            device_map = os.environ.get("ENTVIZ_DEVICE_MAP") or None
            max_memory = os.environ.get("ENTVIZ_MAX_MEMORY", "") if device_map else max_memory
        loaded = load(
            name,
            dtype=loading.dtype,
            device=loading.device,
            device_map=device_map,
            max_memory=max_memory,
            progress=progress,
        )
        self.put(name, loaded, loading)
        return loaded

    def _bytes(self) -> float:
        return sum(_WITH_COPY * loaded.bytes for _, loaded in self._models.values())
