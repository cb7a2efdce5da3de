"""Items by name, in the order in which they were registered: metrics, criteria, export formats.

    METRICS = Registry("a metric", (Bucket, NearestNeighbours))
    METRICS["knn"]                       # the class
    METRICS["nkn"]                       # OptionError: 'nkn' is not a metric: choose from bucket, knn.
    with METRICS.added(Mine):            # for tests and plug-ins
        ...

Code that needs the names keeps the registry itself and reads it each time. A copy made at import would not contain
items that are added later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from entviz.errors import EntvizError, OptionError

T = TypeVar("T")

_SHOWN_CHARACTERS = 60


class Registry(Mapping[str, T]):
    """A read-only mapping from names to items that have that name in an attribute, usually ``name``.

    Args:
        noun: the noun for an item, with its article: ``"a metric"``.
        items: the items, in order. No two may have the same name.
        error: the class of the error for an unknown name.
        attribute: the attribute that holds an item's name.

    Raises:
        ValueError: two items have the same name.
    """

    def __init__(
        self,
        noun: str,
        items: Iterable[T],
        error: type[EntvizError] = OptionError,
        *,
        attribute: str = "name",
    ) -> None:
        self._noun, self._error, self._attribute = noun, error, attribute
        self._items: dict[str, T] = {}
        for item in items:
            self._put(item)

    def __getitem__(self, name: str) -> T:
        """The item of that name; raises the registry's error, which lists the names, if there is none."""
        if name not in self._items:
            raise self.unknown(name)
        return self._items[name]

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def get(self, name: str, default: Any = None) -> Any:
        """The item of that name, or ``default``."""
        return self._items.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._items))

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"Registry({self._noun!r}: {', '.join(self)})"

    def unknown(self, name: str, choices: Iterable[str] | None = None) -> EntvizError:
        """The error for an unknown name; ``choices`` are the names to choose from, if not all."""
        names = ", ".join(self if choices is None else choices)
        return self._error(f"'{name[:_SHOWN_CHARACTERS]}' is not {self._noun}: choose from {names}.")

    @contextmanager
    def added(self, item: T) -> Iterator[T]:
        """Add an item at the end while the context lasts."""
        name = self._put(item)
        try:
            yield item
        finally:
            self._items = {other: kept for other, kept in self._items.items() if other != name}

    def _put(self, item: T) -> str:
        name: str = getattr(item, self._attribute)
        if name in self._items:
            raise ValueError(f"{name} is registered already")
        # A new dictionary, because a thread may be iterating over the current one.
        self._items = {**self._items, name: item}
        return name
