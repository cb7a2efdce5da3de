"""The header of a GGUF file, read with limits before anything else reads the file.

    header = read_header(Path("model.gguf"))
    header.metadata["llama.block_count"], header.tensors["token_embd.weight"].shape

No number in the file is trusted: every count, length and offset is compared with the size of the file. The format is
described at https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import math
import mmap
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from entviz.errors import ModelError

MOST_LAYERS: Final = 1000  # the deepest known models have a few hundred

_MAGIC: Final = b"GGUF"
_STRING: Final = 8
_ARRAY: Final = 9
# Types of metadata values that have a fixed size, and how to unpack them.
_NUMBERS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_MOST_NAME_BYTES: Final = 65_535
_MOST_DIMENSIONS: Final = 4
_SMALLEST_ENTRY: Final = 13  # bytes of a metadata value: the key's length, a type, one byte
_SMALLEST_TENSOR: Final = 32  # bytes of a tensor's description with one dimension


@dataclass(frozen=True)
class Strings:
    """An array of strings. Only its length is kept, because vocabularies are long and nothing here reads them."""

    count: int


class Stored(NamedTuple):
    """One tensor of the file.

    ``shape`` has the slowest dimension first, as in torch. ``start`` counts from the beginning of the file at ``path``.
    """

    name: str
    shape: tuple[int, ...]
    type: int
    start: int
    bytes: int
    path: Path

    @property
    def elements(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """The header of a GGUF file.

    Attributes:
        path: the file, or the first of several parts.
        metadata: values by their full key; arrays of numbers are lists, an array of strings is a :class:`Strings`.
        tensors: the file's tensors, by name.
        bytes: size of the file, or of all parts together.
    """

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, Stored]
    bytes: int

    @property
    def architecture(self) -> str:
        """The architecture's name, which is also the prefix of its keys.

        Raises:
            ModelError: if the file names none.
        """
        name = self.metadata.get("general.architecture")
        if not isinstance(name, str) or not name:
            raise ModelError(
                f"{self.path} names no architecture (general.architecture). Download or convert it again."
            )
        return name

    def value(self, key: str, default: Any = None) -> Any:
        """The value of a key of the architecture, such as ``block_count``."""
        return self.metadata.get(f"{self.architecture}.{key}", default)

    @property
    def own(self) -> dict[str, Any]:
        """The architecture's own values, by the part of the key after the architecture's name."""
        start = f"{self.architecture}."
        return {
            key.removeprefix(start): value for key, value in self.metadata.items() if key.startswith(start)
        }

    @property
    def elements(self) -> int:
        """The number of elements of all tensors."""
        return sum(tensor.elements for tensor in self.tensors.values())


def read_header(path: Path) -> Header:
    """Read the header of a GGUF file, without its weights.

    Raises:
        ModelError: if it is not a regular file, is not GGUF, or contradicts its own size.
    """
    try:
        with _opened(path) as descriptor, mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
            return _Reader(path, data).header()
    except (ValueError, struct.error, IndexError) as error:
        raise ModelError(f"{path} is damaged: {error}. Download it again.") from error


def check_file(path: Path) -> None:
    """Check that this is a regular file that begins like a GGUF file.

    Raises:
        ModelError: if it is not.
    """
    with _opened(path):
        pass


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        # Without O_NONBLOCK, opening a named pipe waits for somebody to write into it.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror or error}). Choose a file that you can open."
        ) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path} is a pipe, a device or a directory. Give a .gguf file.")
        if os.pread(descriptor, 4, 0) != _MAGIC:
            raise ModelError(
                f"{path} is not a GGUF file, although its name ends in .gguf. Download it again, or choose another one."
            )
        yield descriptor
    finally:
        os.close(descriptor)


class _Reader:
    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data, self.size, self.place = path, data, len(data), 4

    def header(self) -> Header:
        (version,) = self.unpack("I")
        if version not in (2, 3):
            turned = int.from_bytes(int(version).to_bytes(4, "little"), "big") in (2, 3)
            raise ModelError(
                f"{self.path} is "
                + ("written for big-endian machines" if turned else f"GGUF of version {version}")
                + ", but only little-endian files of versions 2 and 3 can be read. Convert the model again."
            )
        tensor_count, value_count = self.unpack("QQ")
        self.expect(
            value_count * _SMALLEST_ENTRY + tensor_count * _SMALLEST_TENSOR,
            f"it claims {value_count:,} metadata values and {tensor_count:,} tensors",
        )
        metadata: dict[str, Any] = {}
        for _ in range(value_count):
            key = self.string(_MOST_NAME_BYTES)
            if key in metadata:
                raise ValueError(f"it has the key {_shown(key)} twice")
            (kind,) = self.unpack("I")
            metadata[key] = self.value(kind)
        described = [self.description() for _ in range(tensor_count)]
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 1 <= alignment <= 1 << 20 or alignment & (alignment - 1):
            raise ValueError(f"its general.alignment is {str(alignment)[:20]}, not a power of two")
        start = -(-self.place // alignment) * alignment
        tensors = {}
        for name, shape, kind, offset in described:
            if name in tensors:
                raise ValueError(f"it holds the tensor {_shown(name)} twice")
            tensors[name] = self.stored(name, shape, kind, start + offset)
        self.check_places(tensors)
        return Header(self.path, metadata, tensors, self.size)

    def expect(self, count: int, claim: str) -> None:
        """Refuse a number of bytes that the rest of the file cannot hold."""
        if count > self.size - self.place:
            raise ValueError(f"{claim}, which its {self.size:,} bytes cannot hold")

    def unpack(self, layout: str) -> tuple[Any, ...]:
        layout = f"<{layout}"
        length = struct.calcsize(layout)
        self.expect(length, "it ends within its header")
        found = struct.unpack_from(layout, self.data, self.place)
        self.place += length
        return found

    def string(self, most: int | None = None) -> str:
        (length,) = self.unpack("Q")
        self.expect(length, f"it claims a text of {length:,} bytes")
        if most is not None and length > most:
            raise ValueError(f"a name in it has {length:,} bytes")
        raw = self.data[self.place : self.place + length]
        self.place += length
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError("a text in it is not UTF-8") from error

    def value(self, kind: int) -> Any:
        if kind in _NUMBERS:
            return self.unpack(_NUMBERS[kind])[0]
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            raise ValueError(f"a value in it is of the unknown type {kind}")
        within, count = self.unpack("IQ")
        if within in _NUMBERS:
            layout = _NUMBERS[within]
            self.expect(count * struct.calcsize(f"<{layout}"), f"it claims an array of {count:,} numbers")
            return list(self.unpack(f"{count}{layout}"))
        if within != _STRING:
            raise ValueError(f"an array in it is of the type {within}, which no model needs")
        self.expect(count * 8, f"it claims an array of {count:,} texts")
        for _ in range(count):
            (length,) = self.unpack("Q")
            self.expect(length, f"it claims a text of {length:,} bytes")
            self.place += length
        return Strings(count)

    def description(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self.string(_MOST_NAME_BYTES)
        (dimensions,) = self.unpack("I")
        if not 1 <= dimensions <= _MOST_DIMENSIONS:
            raise ValueError(f"its tensor {_shown(name)} has {dimensions} dimensions")
        *shape, kind, offset = self.unpack(f"{dimensions}QIQ")
        return name, tuple(reversed(shape)), kind, offset

    def stored(self, name: str, shape: tuple[int, ...], kind: int, start: int) -> Stored:
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

        if kind not in set(GGMLQuantizationType):
            raise ValueError(f"its tensor {_shown(name)} is of the unknown type {kind}")
        block, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
        elements = math.prod(shape)
        if elements < 1 or shape[-1] % block:
            raise ValueError(f"its tensor {_shown(name)} has the impossible shape {list(shape)}")
        return Stored(name, shape, kind, start, elements // block * block_bytes, self.path)

    def check_places(self, tensors: dict[str, Stored]) -> None:
        """Refuse tensors that end after the file or share bytes, which would unpack to more than the file holds."""
        end = 0
        for tensor in sorted(tensors.values(), key=lambda tensor: tensor.start):
            if tensor.start + tensor.bytes > self.size:
                raise ValueError(
                    f"its tensor {_shown(tensor.name)} ends at byte {tensor.start + tensor.bytes:,}, but the file has "
                    f"only {self.size:,} bytes, so it was cut short"
                )
            if tensor.start < end:
                raise ValueError(f"its tensor {_shown(tensor.name)} overlaps another tensor")
            end = tensor.start + tensor.bytes


def _shown(name: str) -> str:
    return repr(name if len(name) <= 60 else f"{name[:60]}…")
