"""Counts what is really computed."""

from types import ModuleType
from typing import Any


def counted(monkeypatch: Any, *functions: tuple[ModuleType, str]) -> dict[str, int]:
    """How often each function of a module has been called from now on. They run as always."""
    counts = dict.fromkeys((name for _, name in functions), 0)

    def count(module: ModuleType, name: str) -> None:
        function = getattr(module, name)

        def call(*arguments: Any, **options: Any) -> Any:
            counts[name] += 1
            return function(*arguments, **options)

        monkeypatch.setattr(module, name, call)

    for module, name in functions:
        count(module, name)
    return counts
