"""The headers of safetensors files: names, types and shapes of all tensors, without reading their data."""

import math
import struct
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from entviz.errors import ModelError
from entviz.models.library_errors import telling_line
from entviz.models.regular_files import MOST_BYTES, check_regular, read_object

WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
_MOST_SHARDS = 10_000

# The format's names of number types, from https://huggingface.co/docs/safetensors.
TYPES: dict[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}

_Count = Annotated[int, Field(ge=0, lt=2**60)]


class Tensor(BaseModel):
    """The description of one tensor in a header.

    Attributes:
        dtype: its type, under the format's name.
        shape: its shape.
        data_offsets: its first byte, and the byte after its last, counted from the end of the header.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    dtype: Annotated[str, StringConstraints(max_length=20)]
    shape: Annotated[list[_Count], Field(max_length=16)]
    data_offsets: Annotated[list[_Count], Field(min_length=2, max_length=2)]

    @property
    def numbers(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def on_meta(self) -> torch.Tensor:
        """A tensor of this shape and type that uses no memory."""
        return torch.empty(self.shape, dtype=TYPES[self.dtype], device="meta")


_HEADER: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_TENSORS: TypeAdapter[dict[str, Tensor]] = TypeAdapter(dict[str, Tensor])


class _Index(BaseModel):
    model_config = ConfigDict(strict=True)

    weight_map: Annotated[dict[str, Annotated[str, StringConstraints(max_length=255)]], Field(min_length=1)]


def safetensors_header(path: Path, name: str) -> dict[str, Tensor]:
    """Return the descriptions of the tensors in a safetensors file, by name.

    Raises:
        ModelError: if it is not a safetensors file, or its size does not match its header.
    """
    size = check_regular(path, name)
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size - 8, MOST_BYTES):
                raise ValueError("the header is longer than the file")
            entries = _HEADER.validate_json(file.read(length), strict=True)
        entries.pop("__metadata__", None)
        header = _TENSORS.validate_python(entries)
        end = max((tensor.data_offsets[1] for tensor in header.values()), default=0)
        if size != 8 + length + end:
            raise ValueError(f"it has {size} bytes instead of {8 + length + end}")
        for tensor_name, tensor in header.items():
            _check_size(tensor_name, tensor)
    except (OSError, struct.error, ValueError) as error:  # pydantic's errors are ValueErrors
        reason = _first_fault(error) if isinstance(error, ValidationError) else telling_line(error)
        raise ModelError(
            f"The weight file {path.name} of {name} is damaged ({reason}). Download or save it again."
        ) from error
    return header


def read_headers(directory: Path, name: str) -> dict[str, Tensor]:
    """Return every tensor of a model's weight files, by name.

    Raises:
        ModelError: if a file is missing, damaged, or not a regular file, or two files hold the same tensor.
    """
    tensors: dict[str, Tensor] = {}
    for file in named_weights(directory, name):
        if file == WEIGHTS_INDEX:
            continue
        header = safetensors_header(directory / file, name)
        twice = next((tensor for tensor in header if tensor in tensors), None)
        if twice is not None:
            raise ModelError(
                f"Two weight files of {name} hold the tensor {twice[:100]}. Keep the files of one checkpoint only."
            )
        tensors |= header
    return tensors


def named_weights(directory: Path, name: str) -> list[str]:
    """Return the names of the weight files that transformers reads, and of their index if they have one.

    Raises:
        ModelError: if the index is damaged, or a file that it names is missing or in another directory.
    """
    if (directory / WEIGHTS).exists() or (directory / WEIGHTS).is_symlink():
        return [WEIGHTS]
    try:
        index = _Index.model_validate(read_object(directory / WEIGHTS_INDEX, name))
    except ValidationError as error:
        raise ModelError(
            f"The {WEIGHTS_INDEX} of {name} names no files ({_first_fault(error)}). Download or save it again."
        ) from error
    shards = sorted(set(index.weight_map.values()))
    if len(shards) > _MOST_SHARDS:
        raise ModelError(
            f"The {WEIGHTS_INDEX} of {name} names {len(shards)} files. Restore the original index."
        )
    for shard in shards:
        if Path(shard).name != shard or not shard.endswith(".safetensors"):
            raise ModelError(
                f"The {WEIGHTS_INDEX} of {name} points to {shard!r}, which is not a safetensors file beside it. "
                "Use a model whose weights are in its own directory."
            )
        path = directory / shard
        if not path.exists() and not path.is_symlink():
            raise ModelError(f"{name} lacks its weight file {shard}. Download or save it again.")
    return [*shards, WEIGHTS_INDEX]


def _check_size(name: str, tensor: Tensor) -> None:
    if tensor.dtype not in TYPES:
        raise ValueError(f"the tensor {name[:100]} is of the type {tensor.dtype}, which is not known")
    first, end = tensor.data_offsets
    wanted = tensor.numbers * TYPES[tensor.dtype].itemsize
    if end - first != wanted:
        raise ValueError(f"the tensor {name[:100]} needs {wanted} bytes but has {end - first}")


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part)[:60] for part in fault["loc"])
    return f"{place}: {fault['msg']}".removeprefix(": ").lower()
