"""Values of a sweep's file, each with a sentence for what cannot be used.

names({"budgets": [4, "10%"]}, "budgets", numbers=True)     # ["4", "10%"]
number({"windows": 0}, "windows", None)                     # OptionError
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from entviz.errors import OptionError

_MOST = 10_000  # values in a list
_SHOWN = 60


def names(
    values: Mapping[str, Any],
    key: str,
    usual: Sequence[str] | None = None,
    *,
    numbers: bool = False,
    mappings: bool = False,
) -> list[Any]:
    """A list of different texts; one alone stands for a list of it. Raises ``OptionError`` for anything else.

    Args:
        usual: the list if the key is missing; None if it may be neither missing nor empty.
        numbers: whether whole numbers may stand among the texts; they are returned as text.
        mappings: whether mappings may stand among the texts.
    """
    found = values.get(key, usual)
    found = found if isinstance(found, list | tuple) else [found]
    kinds = (str, *((int,) if numbers else ()), *((dict,) if mappings else ()))
    for each in found:
        if not isinstance(each, kinds) or isinstance(each, bool) or not each:
            raise OptionError(f"{key} has {str(each)[:_SHOWN]!r}: list names, such as [a, b].")
    if (usual is None and not found) or len(found) > _MOST:
        raise OptionError(f"{key} must list 1 to {_MOST:,} names, not {len(found):,}.")
    texts = [str(each).strip() if isinstance(each, int | str) else each for each in found]
    for each in texts:
        if texts.count(each) > 1:
            raise OptionError(f"{key} names {str(each)[:_SHOWN]} twice: leave one out.")
    return texts


def number(
    values: Mapping[str, Any], key: str, usual: Any, *, whole: bool = True, least: float | None = None
) -> Any:
    """A number from ``least`` on; by default above 0. Raises ``OptionError`` for anything else."""
    found = values.get(key, usual)
    if found is None:
        return None
    kind = int if whole else (int, float)
    too_small = isinstance(found, int | float) and (found <= 0 if least is None else found < least)
    if isinstance(found, bool) or not isinstance(found, kind) or too_small or found > 1e9:
        wanted = "a whole number" if whole else "a number"
        raise OptionError(
            f"{key} is {str(found)[:_SHOWN]!r}: write {wanted} "
            f"{'above 0' if least is None else f'from {least:g} on'}, or leave it out."
        )
    return found


def word(values: Mapping[str, Any], key: str, usual: str) -> str:
    """A text. Raises ``OptionError`` for anything else."""
    found = values.get(key, usual)
    if found is None:
        return usual
    if not isinstance(found, str) or len(found) > 200:
        raise OptionError(f"{key} is {str(found)[:_SHOWN]!r}: write a short text, or leave it out.")
    return found


def switch(values: Mapping[str, Any], key: str, usual: bool) -> bool:
    """True or false. Raises ``OptionError`` for anything else."""
    found = values.get(key, usual)
    if not isinstance(found, bool):
        raise OptionError(f"{key} is {str(found)[:_SHOWN]!r}: write true or false.")
    return found


def one_of(values: Mapping[str, Any], key: str, choices: Sequence[str], usual: str) -> str:
    """One of some words. Raises ``OptionError`` for anything else."""
    found = values.get(key, usual)
    if found not in choices:
        raise OptionError(f"{key} is {str(found)[:_SHOWN]!r}: choose from {', '.join(choices)}.")
    return str(found)
