"""Where a comparison keeps what it has finished, so that one that was stopped or killed resumes from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class PartCache(Protocol):
    """Finished parts by what they depend on: a ``choice`` is a ranking, a ``cell`` what a prune set costs."""

    def get(self, kind: str, tokens: str, options: Mapping[str, Any]) -> Any:
        """The part, or None."""
        ...

    def put(self, kind: str, tokens: str, options: Mapping[str, Any], part: Any) -> None: ...


class NoPartCache:
    """Keeps nothing; the default if no one will come back."""

    def get(self, kind: str, tokens: str, options: Mapping[str, Any]) -> Any:
        return None

    def put(self, kind: str, tokens: str, options: Mapping[str, Any], part: Any) -> None:
        return None
