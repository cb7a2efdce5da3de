"""The store of a comparison's finished parts, from which a stopped or killed comparison resumes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class PartCache(Protocol):
    """Finished parts, by everything they depend on: a ``choice`` is a ranking, a ``cell`` the cost of a prune set."""

    def get(self, kind: str, tokens: str, options: Mapping[str, Any]) -> Any:
        """The part, or None."""
        ...

    def put(self, kind: str, tokens: str, options: Mapping[str, Any], part: Any) -> None: ...


class NoPartCache:
    """Stores nothing; the default for comparisons that will not be resumed."""

    def get(self, kind: str, tokens: str, options: Mapping[str, Any]) -> Any:
        return None

    def put(self, kind: str, tokens: str, options: Mapping[str, Any], part: Any) -> None:
        return None
