"""Limits and switches that the environment sets."""

from __future__ import annotations

import os
import re

from entviz.errors import OptionError


def limit(name: str, usual: int) -> int:
    """The limit in the environment variable ``name``, or the default if it is not set.

    Raises ``OptionError`` if it is not a whole number above 0.
    """
    value = os.environ.get(name)
    if value is None:
        return usual
    if not re.fullmatch("[0-9]{1,15}", value) or int(value) < 1:
        raise OptionError(f"{name} is {value[:40]!r}: set it to a whole number above 0, or not at all.")
    return int(value)


def switched_on(name: str) -> bool:
    """Whether the switch in the environment variable ``name``, which is 0 or 1, is on, as it is if it is not set.

    Raises ``OptionError`` if it is anything else.
    """
    value = os.environ.get(name, "1")
    if value not in ("0", "1"):
        raise OptionError(f"{name} is {value[:40]!r}: set it to 0 or 1, or not at all.")
    return value == "1"
