"""Read bytes and JSON from outside with limits: regular files only, a limited number of bytes, no unusual numbers.

    data = read_bytes("recipe.json", most_bytes=1_000_000)
    values = parse_json(data)

Both raise a ``ValueError`` or an ``OSError`` with a short reason, which the caller puts into its sentence.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from entviz.progress import Progress, silent

CHUNK = 1 << 24  # bytes of a large file that are read between two checks for cancelling
_MOST_DIGITS = 20  # digits of a whole number: more than 64 bits hold


def read_bytes(path: str | Path, most_bytes: int, *, streams: bool = False) -> bytes:
    """The content of a file.

    Args:
        most_bytes: the largest size allowed.
        streams: whether to read pipes and devices too. Use this for names given on the command line, where
            ``<(command)`` and ``/dev/stdin`` are allowed. In a folder from elsewhere, reading one may never end.

    Raises:
        OSError: if there is no such file or it cannot be read.
        ValueError: if it is not a regular file, or has more than ``most_bytes`` bytes.
    """
    # Without O_NONBLOCK, opening a named pipe waits for somebody to write into it.
    flags = 0 if streams else getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, os.O_RDONLY | flags | getattr(os, "O_CLOEXEC", 0))
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        os.close(descriptor)
        raise IsADirectoryError(21, "Is a directory", str(path))
    with os.fdopen(descriptor, "rb") as file:
        if not streams and not stat.S_ISREG(status.st_mode):
            raise ValueError("it is a pipe or a device, not a file")
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        size = max(status.st_size, len(data))
        raise ValueError(f"it has {size / 1e6:,.1f} MB, but at most {most_bytes / 1e6:,.1f} MB are read")
    return data


def parse_json(data: bytes | str, most_digits: int = _MOST_DIGITS) -> Any:
    """The value of a JSON text in UTF-8, with or without a byte order mark.

    Raises ``ValueError`` with the reason if it is not JSON, is nested too deeply, or holds a whole number of more
    than ``most_digits`` digits.
    """
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data.removeprefix("\ufeff")
        return json.loads(text, parse_int=partial(_whole_number, most_digits=most_digits))
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in error.doc else ""
        raise ValueError(f"{error.msg.lower()} at {line}column {error.colno}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _whole_number(digits: str, most_digits: int) -> int:
    if len(digits) > most_digits:
        raise ValueError(f"a number in it has {len(digits)} digits")
    return int(digits)


def read_in_chunks(path: Path, progress: Progress = silent) -> Iterator[bytes]:
    """Yield a file's bytes in order, ``CHUNK`` at a time, so that reading a large one can be stopped.

    Args:
        path: the file.
        progress: called after each chunk except the last, without a number of steps; it can raise ``Cancelled``.
        size: the size of a chunk in bytes.

    Raises:
        OSError: if the file cannot be read.
    """
    with path.open("rb") as file:
        chunk = file.read(CHUNK)
        while chunk:
            yield chunk
            chunk = file.read(CHUNK)
            if chunk:
                progress(0, 0)
