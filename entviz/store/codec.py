"""Convert results to bytes and back: a NumPy archive with a JSON header. Reading it cannot run code.

    data, size = pack("evaluation", evaluation)
    unpack("evaluation", data, result_type)

Any dataclass can be packed that consists of numbers, texts, lists, mappings with text keys, arrays, tables, blocks and
prune sets.
"""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from entviz.blocks import Block, PruneSet

# The class of each kind of result; None for a kind that is unknown.
ResultTypes = Callable[[str], type | None]
LARGEST = 2**30  # bytes; an archive that claims more is not from entviz
_HEADER = "header"


class UnreadableError(Exception):
    """The bytes are not a result of the given kind."""


def pack(kind: str, result: Any) -> tuple[bytes, int]:
    """The result as bytes, and its approximate size in memory in bytes.

    Raises ``TypeError`` if something in it cannot be packed.
    """
    arrays: dict[str, np.ndarray] = {}
    header = json.dumps({"kind": kind, "fields": _fields(result, arrays)}).encode()
    arrays[_HEADER] = np.frombuffer(header, np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue(), sum(array.nbytes for array in arrays.values())


def unpack(kind: str, data: bytes, types: ResultTypes) -> tuple[Any, int]:
    """The result that was packed, and its approximate size in memory in bytes.

    ``types`` gives the classes of results, because the packed bytes cannot name a class.

    Raises ``UnreadableError`` if the bytes are damaged, or hold another kind or an older form of result.
    """
    try:
        header, arrays, size = _opened(kind, data)
        found = types(kind)
        if found is None:
            raise UnreadableError(f"this version has no results of the kind {kind}")
        fields = {key: _restored(value, arrays) for key, value in header["fields"].items()}
        return found(**fields), size
    except Exception as error:
        # Damaged bytes can fail in the archive, the arrays, the header, the blocks or the class, each differently.
        raise UnreadableError(str(error)) from error


def is_intact(kind: str, data: bytes) -> bool:
    """Whether the archive's checksums are correct. This works for archives of every version."""
    try:
        _opened(kind, data)
    except Exception:  # noqa: BLE001 - as in unpack
        return False
    return True


def _opened(kind: str, data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray], int]:
    """The header, the arrays by name, and the size of the arrays in bytes."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(member.file_size for member in archive.infolist()) > LARGEST:
            raise UnreadableError("it is too large")
        # Each is read to its end, because its checksum is compared there; np.load may stop before that.
        arrays = {
            name.removesuffix(".npy"): np.lib.format.read_array(
                io.BytesIO(archive.read(name)), allow_pickle=False
            )
            for name in archive.namelist()
        }
    size = sum(array.nbytes for array in arrays.values())
    header = json.loads(arrays.pop(_HEADER).tobytes())
    if header["kind"] != kind:
        raise UnreadableError(f"it is of the kind {header['kind']}")
    return header, arrays, size


def _fields(result: Any, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    return {
        field.name: _plain(getattr(result, field.name), arrays)
        for field in dataclasses.fields(result)
        if field.init
    }


def _plain(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """``value`` as JSON, without its arrays. Types that JSON lacks become a list of the type's name and the content."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return [type(value).__name__, [_plain(item, arrays) for item in value]]
    if isinstance(value, dict):
        return ["dict", {str(key): _plain(item, arrays) for key, item in value.items()}]
    if isinstance(value, PruneSet | Block):
        return [type(value).__name__, str(value)]
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        name = f"array{len(arrays)}"
        arrays[name] = value
        return ["array", name]
    if isinstance(value, pd.DataFrame):
        if not isinstance(value.index, pd.RangeIndex):
            raise TypeError("a table with an index of its own cannot be stored")
        return ["table", {str(column): _column(value[column], arrays) for column in value}]
    raise TypeError(f"{type(value).__name__} cannot be stored")


def _column(column: pd.Series, arrays: dict[str, np.ndarray]) -> Any:
    if column.dtype.kind in "biuf":
        return _plain(column.to_numpy(), arrays)
    cells = column.tolist()
    if cells and all(isinstance(cell, tuple) and len(cell) == len(cells[0]) for cell in cells):
        numbers = np.asarray(cells)
        if (
            numbers.ndim == 2 and numbers.dtype.kind in "biuf"
        ):  # one number for each window, by far the most bytes
            return ["tuples", _plain(numbers, arrays)]
    return _plain(cells, arrays)


def _restored(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if not isinstance(value, list):
        return value
    form, content = value
    if form in ("list", "tuple"):
        items = [_restored(item, arrays) for item in content]
        return items if form == "list" else tuple(items)
    if form == "dict":
        return {key: _restored(item, arrays) for key, item in content.items()}
    if form == "array":
        return arrays[content]
    if form == "tuples":
        return [tuple(row) for row in _restored(content, arrays).tolist()]
    if form == "table":
        return pd.DataFrame({name: _restored(column, arrays) for name, column in content.items()})
    if form == "PruneSet":
        return PruneSet.parse(content)
    if form == "Block":
        return Block.parse(content)
    raise UnreadableError(f"it holds a {form}")
