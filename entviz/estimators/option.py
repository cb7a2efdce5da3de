"""An option of a metric: a field of its dataclass that knows its bounds and its purpose.

k: int = option(25, 1, 65536, "which neighbour")
"""

from __future__ import annotations

import math
import re
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from entviz.errors import OptionError

_KEY = "option"
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_MOST_CHARACTERS = (
    24  # in a number; no option needs more, and Python reads thousands of digits slowly or not at all
)


@dataclass(frozen=True)
class Option:
    """An option of a metric.

    Attributes:
        name: the field's name.
        default: the default value. Its type is the option's type: int for whole numbers, float for real numbers.
        low, high: the bounds. A whole number may equal either; a real number must be above ``low`` and may equal
            ``high``.
        purpose: what it sets, for a help text.
    """

    name: str
    default: int | float
    low: float
    high: float
    purpose: str

    @property
    def whole(self) -> bool:
        """Whether it takes whole numbers only."""
        return isinstance(self.default, int)

    @property
    def bounds(self) -> str:
        """The bounds in words: ``a whole number from 1 to 65536``."""
        if self.whole:
            return f"a whole number from {self.low:g} to {self.high:.0f}"
        return f"a number above {self.low:g} and at most {self.high:g}"

    def check(self, value: object) -> None:
        """Raise OptionError unless the value is within the bounds."""
        if isinstance(value, bool):
            number = math.nan
        elif self.whole:
            number = value if isinstance(value, int) else math.nan
        else:
            number = value if isinstance(value, int | float) else math.nan
        # Every comparison with NaN is false, so NaN is refused too.
        if not (self.low <= number if self.whole else self.low < number) or not number <= self.high:
            raise OptionError(f"{self.name} must be {self.bounds}, not {_shown(value)}.")

    def read(self, text: str) -> int | float | str:
        """The number that the text gives, or the text itself if it is not a number; ``check`` then refuses it."""
        text = text.strip()
        if len(text) > _MOST_CHARACTERS or not text.isascii() or not _NUMBER.fullmatch(text):
            return text
        return int(text) if text.lstrip("+-").isdigit() else float(text)


def option(default: Any, low: float, high: float, purpose: str) -> Any:
    """A dataclass field that is an option; the arguments are those of :class:`Option`."""
    return field(default=default, metadata={_KEY: (low, high, purpose)})


def options_of(cls: Any) -> tuple[Option, ...]:
    """The options of a dataclass, in the order of its fields."""
    return tuple(
        Option(each.name, each.default, *each.metadata[_KEY])
        for each in fields(cls)
        if _KEY in each.metadata and each.default is not MISSING
    )


def written(value: float) -> str:
    """A number as text in a spec: the shortest text that reads back as the same number."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _shown(value: object) -> str:
    shown = (
        repr(value) if not isinstance(value, int) or abs(value) < 10**_MOST_CHARACTERS else "a longer number"
    )
    return shown if len(shown) <= 40 else f"{shown[:40]}…"
