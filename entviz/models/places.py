"""The places where weights can be kept, and amounts of memory as people write them. Needs no torch."""

from __future__ import annotations

import re
from typing import Final

from entviz.errors import OptionError

AUTO: Final = "auto"
DISK: Final = "disk"
PLACEMENTS: Final = (AUTO, DISK)
PROCESSOR: Final = "cpu"
_UNITS = {
    "": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([KMGT]?i?B?)", re.IGNORECASE)


def parse_memory(text: str) -> dict[str, int]:
    """Read the most memory for weights: ``8GB`` for the processor, or ``cpu=8GB,0=20GB`` with GPUs by their numbers.

    Raises:
        OptionError: if it is neither.
    """
    found: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        where, _, size = part.rpartition("=")
        match = _SIZE.fullmatch(size.strip())
        where = where.strip() or PROCESSOR
        unit = match[2].upper() if match else ""
        unit = unit + "B" if unit and not unit.endswith("B") else unit
        if match is None or unit not in _UNITS | {"B": 1} or not re.fullmatch(r"cpu|[0-9]{1,3}", where):
            raise OptionError(
                f"{part[:40]!r} is not an amount of memory. Write 8GB for the processor's, or cpu=8GB,0=20GB with "
                "the numbers of GPUs."
            )
        found[where] = int(float(match[1]) * (_UNITS | {"B": 1})[unit])
    return found
