"""Read a model's small files: regular files only, and never more bytes than such a file can need."""

import json
import os
import stat
from pathlib import Path
from typing import Any

from entviz.errors import ModelError
from entviz.models.library_errors import telling_line

MOST_BYTES = 100_000_000  # of a file that is read as a whole; the largest tokenizers have a third of it


def check_regular(path: Path, name: str, most_bytes: int = MOST_BYTES) -> None:
    """Check that a path leads to a regular file of a bearable size, links followed.

    Args:
        path: the file.
        name: what to call the model in a message.
        most_bytes: the most that the file may have.

    Raises:
        ModelError: if it leads nowhere, to a pipe, a device or a directory, or to a larger file.
    """
    try:
        status = path.stat()
    except FileNotFoundError as error:
        if path.is_symlink():
            raise ModelError(
                f"The {path.name} of {name} is a link to {path.readlink()}, which is not there. "
                "Download the model again, or restore the file."
            ) from error
        raise ModelError(f"{name} has no {path.name}. Download or save it again.") from error
    except OSError as error:
        raise ModelError(
            f"The {path.name} of {name} cannot be read ({telling_line(error)}). Choose files that you can open."
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise ModelError(
            f"The {path.name} of {name} is not a regular file but a {_kind(status.st_mode)}, which is not read. "
            "Replace it with the model's own file."
        )
    if status.st_size > most_bytes:
        raise ModelError(
            f"The {path.name} of {name} has {status.st_size / 1e6:,.0f} MB, and at most {most_bytes / 1e6:,.0f} MB are "
            "read of such a file. Restore the model's own file."
        )


def read_bytes(path: Path, name: str, most_bytes: int = MOST_BYTES) -> bytes:
    """Return a file's content.

    Raises:
        ModelError: as :func:`check_regular`, or if it cannot be read.
    """
    check_regular(path, name, most_bytes)
    try:
        # Without O_NONBLOCK, a pipe put there since the check would wait for a writer.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123  of a descriptor
            content = file.read(most_bytes)
    except OSError as error:
        raise ModelError(
            f"The {path.name} of {name} cannot be read ({telling_line(error)}). Choose files that you can open."
        ) from error
    return content


def read_object(path: Path, name: str) -> dict[str, Any]:
    """Return the JSON object that a file holds.

    Raises:
        ModelError: if it cannot be read, or holds anything else.
    """
    content = read_bytes(path, name)
    try:
        values = json.loads(content)
        if not isinstance(values, dict):
            raise TypeError(f"it holds a {type(values).__name__} instead of an object")
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelError(
            f"The {path.name} of {name} cannot be read ({telling_line(error)}). Download or save it again."
        ) from error
    return values


def _kind(mode: int) -> str:
    kinds = {stat.S_IFIFO: "pipe", stat.S_IFDIR: "directory", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(mode), "device")
