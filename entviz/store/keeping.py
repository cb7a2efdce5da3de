"""What computing needs of a store: the process's own store, or one that is reached through a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from entviz.store.runs import Run


class Keeping(Protocol):
    """Results by key; see :class:`entviz.store.Store` for what each method does."""

    def get(self, key: str, /) -> Any: ...

    def answer(self, request: str, /) -> Any: ...

    def put(self, key: str, run: Run, result: Any, /, *, text: str | None = None) -> None: ...

    def link(self, request: str, key: str, /) -> None: ...

    def remove(self, /, *keys: str) -> None: ...
