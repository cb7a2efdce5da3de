"""GGUF files that were split into parts: find the parts, check them as one file, and join them.

    parts = parts_of(Path("model-00001-of-00003.gguf"))   # all three, given any of them
    whole = whole_header(parts)
    join(parts, Path("model.gguf"))

These are llama.cpp's names of the parts. It numbers them in ``split.no`` from 0; the metadata is in the first part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from entviz.errors import ModelError
from entviz.models.gguf.header import Header, read_header
from entviz.progress import Progress, silent

_PART: Final = re.compile(
    r"(?P<stem>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf", re.ASCII | re.DOTALL
)
_SPLIT: Final = "split."


def parts_of(path: Path) -> list[Path]:
    """All parts of the file to which ``path`` belongs by its name; ``[path]`` if it is not a part.

    Raises:
        ModelError: if a part is missing; the message names it.
    """
    found = _PART.fullmatch(path.name)
    if found is None:
        return [path]
    count = int(found["count"])
    parts = []
    for number in range(1, count + 1):
        part = path.with_name(f"{found['stem']}-{number:05d}-of-{found['count']}.gguf")
        if not part.exists():
            raise ModelError(
                f"{path.name} is one of {count} parts of a model, but {part.name} is missing. "
                f"Put all {count} into the directory {path.parent}."
            )
        parts.append(part)
    return parts or [path]


def one_model(names: Iterable[str]) -> str | None:
    """The only ``.gguf`` file among these names, or any part if all are parts of one file; None otherwise."""
    packed = sorted(name for name in names if name.endswith(".gguf"))
    sets = {
        (found["stem"], found["count"]) if (found := _PART.fullmatch(name)) else (name, "") for name in packed
    }
    return packed[0] if len(sets) == 1 else None


def stem_of(path: Path) -> str:
    """The file's name without its suffix and without the number of the part."""
    found = _PART.fullmatch(path.name)
    return found["stem"] if found else path.stem


def whole_header(parts: Sequence[Path]) -> Header:
    """The headers of all parts, combined into the header of one file.

    Raises:
        ModelError: if a part cannot be read or does not belong to the others.
    """
    headers = [read_header(part) for part in parts]
    first = headers[0]
    tensors = dict(first.tensors)
    for number, header in enumerate(headers):
        _check_numbers(header, number, len(parts))
        if number == 0:
            continue
        for key, value in header.metadata.items():
            if not key.startswith((_SPLIT, "general.")) and first.metadata.get(key) != value:
                raise ModelError(
                    f"{header.path} and {first.path.name} have different values of {key}, so they are not parts of the "
                    "same model. Download all parts again."
                )
        double = next((name for name in header.tensors if name in tensors), None)
        if double is not None:
            raise ModelError(
                f"{header.path} holds the tensor {double!r}, which another part holds too. Download all parts again."
            )
        tensors |= header.tensors
    said = first.metadata.get("split.tensors.count")
    if said is not None and said != len(tensors):
        raise ModelError(
            f"{first.path} says that its model has {said} tensors, but the {len(parts)} parts hold {len(tensors)}. "
            "Download all parts again."
        )
    metadata = {key: value for key, value in first.metadata.items() if not key.startswith(_SPLIT)}
    return Header(first.path, metadata, tensors, sum(header.bytes for header in headers))


def join(parts: Sequence[Path], target: Path, progress: Progress = silent) -> None:
    """Write the parts as one file, tensors copied byte for byte.

    ``progress`` is called for each tensor, and may raise ``Cancelled``. Raises ``OSError`` if the file cannot be
    written.
    """
    from gguf import GGUFReader, GGUFWriter

    readers = [GGUFReader(part) for part in parts]
    writer = GGUFWriter(target, str(readers[0].fields["general.architecture"].contents()))
    try:
        for field in readers[0].fields.values():
            if not field.name.startswith(("GGUF.", _SPLIT)) and field.name != "general.architecture":
                copy_field(writer, field)
        tensors = [tensor for reader in readers for tensor in reader.tensors]
        for tensor in tensors:
            writer.add_tensor_info(
                tensor.name, tensor.data.shape, tensor.data.dtype, tensor.data.nbytes, tensor.tensor_type
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in tensors:
            progress(0, 0)
            writer.write_tensor_data(tensor.data)
    finally:
        writer.close()


def copy_field(writer: Any, field: Any, value: Any = None) -> None:
    """Pass a metadata field that was read with the gguf package to a writer, unchanged or with another value."""
    from gguf import GGUFValueType

    kind = field.types[0]
    within = field.types[-1] if kind == GGUFValueType.ARRAY else None
    writer.add_key_value(field.name, field.contents() if value is None else value, kind, sub_type=within)


def _check_numbers(header: Header, number: int, count: int) -> None:
    said = (header.metadata.get("split.no", 0), header.metadata.get("split.count", 1))
    said_count = said[1] or 1  # llama.cpp writes 0 if a file is whole
    if (said[0], said_count) == (number, count):
        return
    if count == 1:
        raise ModelError(
            f"{header.path} is part {said[0] + 1} of a model that was split into {said_count}. Name the parts as "
            f"llama.cpp does (model-00001-of-{said_count:05d}.gguf and so on), all in one directory, or merge them: "
            "llama-gguf-split --merge."
        )
    raise ModelError(
        f"{header.path} says that it is part {said[0] + 1} of {said_count}, but its name says part {number + 1} of "
        f"{count}. Give the parts their original names again."
    )
