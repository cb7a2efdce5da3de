"""What a comparison has finished, kept as it goes, so that one that was stopped or killed goes on from there.

kept = StoredParts(Store(), loaded)
compare(loaded, calibration, measured, ["cosine"], ["4", "8"], kept=kept)      # stop it, and call it again
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from entviz.models.loaded import LoadedModel
from entviz.store import Run, Store, result_key


class Kept(Protocol):
    """Finished parts by what they depend on. ``kind`` is one of ``entviz.store.codec.RESULTS``."""

    def get(self, kind: str, tokens: str, options: Mapping[str, Any]) -> Any:
        """The part, or None."""
        ...

    def put(self, kind: str, tokens: str, options: Mapping[str, Any], part: Any) -> None: ...


class NothingKept:
    """Keeps nothing; the default where no one will come back."""

    def get(self, kind: str, tokens: str, options: Mapping[str, Any]) -> Any:
        return None

    def put(self, kind: str, tokens: str, options: Mapping[str, Any], part: Any) -> None:
        return None


class StoredParts:
    """Keeps parts in a :class:`entviz.store.Store`, each written before the next is begun."""

    def __init__(self, store: Store, loaded: LoadedModel) -> None:
        self.store, self.name, self.fingerprint = store, loaded.name, loaded.fingerprint

    def get(self, kind: str, tokens: str, options: Mapping[str, Any]) -> Any:
        return self.store.get(self._key(kind, tokens, options))

    def put(self, kind: str, tokens: str, options: Mapping[str, Any], part: Any) -> None:
        run = Run(kind, self.name, self.fingerprint, "part of a comparison", dict(options))
        self.store.put(self._key(kind, tokens, options), run, part)

    def _key(self, kind: str, tokens: str, options: Mapping[str, Any]) -> str:
        return result_key(kind, model=self.fingerprint, tokens=tokens, options=options)
