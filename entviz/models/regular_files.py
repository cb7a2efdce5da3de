"""Read a model's small files: only regular files, with a limit on their size, and JSON with a limit on its numbers."""

from pathlib import Path
from typing import Any

from entviz import reading
from entviz.errors import ModelError
from entviz.models.library_errors import telling_line

_MOST_DIGITS = 40  # tokenizers without a limit on their texts write it as 10 to the 30th
MOST_BYTES = 100_000_000  # of a file that is read as a whole; the largest tokenizers have a third of this


def check_regular(path: Path, name: str, most_bytes: int | None = None) -> int:
    """Check that a path, after following links, is a regular file within the size limit, and return its size.

    Args:
        path: the file.
        name: the model's name for messages.
        most_bytes: the largest size allowed; None for no limit.

    Raises:
        ModelError: if it does not exist, is a pipe, a device or a directory, or is larger.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise _unreadable(path, name, error) from error
    if not path.is_file():
        raise ModelError(
            f"The {path.name} of {name} is a directory, a pipe or a device, not a file. "
            "Put the model's original file there."
        )
    if most_bytes is not None and size > most_bytes:
        raise ModelError(
            f"The {path.name} of {name} has {size / 1e6:,.0f} MB, but such a file may have at most "
            f"{most_bytes / 1e6:,.0f} MB. Restore the model's original file."
        )
    return size


def read_json(path: Path, name: str) -> Any:
    """Return the content of one of a model's JSON files.

    Raises:
        ModelError: for the reasons given for :func:`check_regular`, or if it is not JSON or holds impossible numbers.
    """
    check_regular(path, name, MOST_BYTES)
    try:
        return reading.parse_json(reading.read_bytes(path, MOST_BYTES), _MOST_DIGITS)
    except (OSError, ValueError) as error:
        raise _unreadable(path, name, error) from error


def read_object(path: Path, name: str) -> dict[str, Any]:
    """Return the JSON object that one of a model's files holds.

    Raises:
        ModelError: for the reasons given for :func:`read_json`, or if it holds another kind of value.
    """
    values = read_json(path, name)
    if not isinstance(values, dict):
        raise ModelError(
            f"The {path.name} of {name} holds no JSON object but {_kind(values)}. Download or save it again."
        )
    return values


def _unreadable(path: Path, name: str, error: Exception) -> ModelError:
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return ModelError(
            f"The {path.name} of {name} is a link to {path.readlink()}, where there is no file. "
            "Download the model again, or restore that file."
        )
    if isinstance(error, FileNotFoundError):
        return ModelError(f"{name} has no {path.name}. Download or save it again.")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else telling_line(error)
    return ModelError(f"The {path.name} of {name} cannot be read ({reason}). Download or save it again.")


def _kind(value: Any) -> str:
    kinds = {list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number")
