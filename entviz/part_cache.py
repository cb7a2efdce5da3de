"""The cache of finished parts of a computation, so that one that was stopped or killed resumes from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class PartCache(Protocol):
    """Finished parts, by everything they depend on.

    A ``choice`` is a ranking, a ``cell`` the cost of a prune set, a ``measurement`` the analysis of a pruned model.
    """

    def get(self, kind: str, tokens: str, options: Mapping[str, Any]) -> Any:
        """The part, or None."""
        ...

    def put(self, kind: str, tokens: str, options: Mapping[str, Any], part: Any) -> None: ...


class NoPartCache:
    """Stores nothing; the default for what will not be resumed."""

    def get(self, kind: str, tokens: str, options: Mapping[str, Any]) -> Any:
        return None

    def put(self, kind: str, tokens: str, options: Mapping[str, Any], part: Any) -> None:
        return None
