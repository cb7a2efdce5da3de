"""A GGUF file without some of its layers: tensors copied byte for byte, blocks renumbered, counts lowered.

copy_gguf(Path("model.gguf"), Path("pruned.gguf"), kept=[0, 1, 3], layers=4)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from entviz.errors import ExportError
from entviz.models.library_errors import telling_line
from entviz.progress import Progress, silent

_TENSOR = re.compile(r"blk\.(\d+)\.(.+)", re.ASCII)


def copy_gguf(
    source: Path, target: Path, kept: Sequence[int], layers: int, progress: Progress = silent
) -> None:
    """Write ``target``, a GGUF file with only the layers ``kept`` of the ``layers`` layers of ``source``.

    ``progress`` is called with the written bytes and can raise ``Cancelled``.

    Raises ``ExportError`` if the file cannot be read or has another number of layers; ``OSError`` if the new file
    cannot be written.
    """
    from gguf import GGUFReader, GGUFWriter

    try:
        reader = GGUFReader(source)
        architecture = str(reader.fields["general.architecture"].contents())
        blocks = int(reader.fields[f"{architecture}.block_count"].contents())
        parts = reader.fields.get("split.count")
    except (KeyError, ValueError, IndexError) as error:
        raise ExportError(f"{source.name} cannot be read as a GGUF file ({telling_line(error)}).") from error
    if blocks != layers or (parts is not None and int(parts.contents()) > 1):
        raise ExportError(
            f"{source.name} has {blocks} blocks or several parts, and the model has {layers} layers, so it is not "
            "clear which tensors to leave out."
        )
    writer = GGUFWriter(target, architecture, endianess=reader.endianess)
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            _copy_field(writer, field, architecture, kept, layers)
    places = {layer: place for place, layer in enumerate(kept)}
    tensors = []
    for tensor in reader.tensors:
        match = _TENSOR.fullmatch(tensor.name)
        if match is None:
            tensors.append((tensor.name, tensor))
        elif int(match[1]) in places:
            tensors.append((f"blk.{places[int(match[1])]}.{match[2]}", tensor))
    total = sum(int(tensor.n_bytes) for _, tensor in tensors)
    for name, tensor in tensors:
        writer.add_tensor_info(
            name, tensor.data.shape, tensor.data.dtype, tensor.data.nbytes, tensor.tensor_type
        )
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        done = 0
        for _, tensor in tensors:
            progress(done, total)
            writer.write_tensor_data(tensor.data, tensor_endianess=reader.endianess)
            done += int(tensor.n_bytes)
    finally:
        writer.close()


def _copy_field(writer: Any, field: Any, architecture: str, kept: Sequence[int], layers: int) -> None:
    from gguf import GGUFValueType

    kind = field.types[0]
    within = field.types[-1] if kind == GGUFValueType.ARRAY else None
    value = field.contents()
    if field.name == f"{architecture}.block_count":
        value = len(kept)
    elif field.name == f"{architecture}.leading_dense_block_count":
        value = sum(layer < value for layer in kept)
    elif field.name.startswith(f"{architecture}.") and within is not None and len(value) == layers:
        value = [value[layer] for layer in kept]  # one value per layer
    writer.add_key_value(field.name, value, kind, sub_type=within)
