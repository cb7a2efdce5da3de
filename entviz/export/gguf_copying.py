"""A GGUF file without some of its layers: tensors copied byte for byte, blocks renumbered, counts lowered.

copy_gguf(Path("model.gguf"), Path("pruned.gguf"), kept=[0, 1, 3], layers=4)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import Tensor

from entviz.errors import ExportError
from entviz.export.gguf_writing import as_stored
from entviz.models.library_errors import telling_line
from entviz.progress import Progress, silent

_TENSOR = re.compile(r"blk\.(\d+)\.(.+)", re.ASCII)


def copy_gguf(
    source: Path,
    target: Path,
    kept: Sequence[int],
    layers: int,
    progress: Progress = silent,
    weights: Mapping[str, Tensor] = MappingProxyType({}),
) -> None:
    """Write ``target``, a GGUF file with only the layers ``kept`` of the ``layers`` layers of ``source``.

    ``progress`` is called with the written bytes and can raise ``Cancelled``. ``weights`` are new tensors, by their
    names in the whole transformers model; they are written in their own number type.

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
    new = _named(weights, architecture, layers)
    if missing := new.keys() - {tensor.name for tensor in reader.tensors}:
        raise ExportError(f"{source.name} has no tensor {min(missing)}, which the repair needs.")
    tensors = []
    for tensor in reader.tensors:
        data, kind = tensor.data, tensor.tensor_type
        if tensor.name in new:
            data, kind = _instead(tensor, new[tensor.name])
        match = _TENSOR.fullmatch(tensor.name)
        if match is None:
            tensors.append((tensor.name, data, kind))
        elif int(match[1]) in places:
            tensors.append((f"blk.{places[int(match[1])]}.{match[2]}", data, kind))
    total = sum(int(data.nbytes) for _, data, _ in tensors)
    for name, data, kind in tensors:
        writer.add_tensor_info(name, data.shape, data.dtype, data.nbytes, kind)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        done = 0
        for _, data, _ in tensors:
            progress(done, total)
            writer.write_tensor_data(data, tensor_endianess=reader.endianess)
            done += int(data.nbytes)
    finally:
        writer.close()


def _named(weights: Mapping[str, Tensor], architecture: str, layers: int) -> dict[str, Tensor]:
    """The weights by their names in the file."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    if not weights:
        return {}
    known = get_tensor_name_map(
        next(one for one, name in MODEL_ARCH_NAMES.items() if name == architecture), layers
    )
    found = {}
    for source, weight in weights.items():
        name = known.get_name(source, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ExportError(f"llama.cpp has no name for the tensor {source}, which the repair needs.")
        found[name] = weight
    return found


def _instead(tensor: Any, weight: Tensor) -> tuple[np.ndarray, Any]:
    """What is written instead of a tensor, and its type."""
    from gguf import GGMLQuantizationType

    if tuple(int(length) for length in reversed(tensor.shape)) != tuple(weight.shape):
        raise ExportError(f"{tensor.name} has another shape than what the repair puts in its place.")
    data, kind = as_stored(weight)
    usual = GGMLQuantizationType.F16 if data.dtype == np.float16 else GGMLQuantizationType.F32
    return data, usual if kind is None else kind


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
