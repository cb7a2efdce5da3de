"""Numbers in a GGUF file are never trusted: hostile headers, pipes and devices are refused with a sentence."""

import os
import random
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest

from entviz.errors import ModelError
from entviz.models import load
from entviz.models.gguf.header import Strings, read_header
from tests.models.files import write_gguf
from tests.models.gguf_files import made, write


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def header(
    *values: bytes, tensors: bytes = b"", version: int = 3, counts: tuple[int, int] | None = None
) -> bytes:
    """The bytes of a file with these metadata values and this tensor table."""
    tensor_count, value_count = counts or (bool(tensors), len(values))
    return struct.pack("<4sIQQ", b"GGUF", version, tensor_count, value_count) + b"".join(values) + tensors


def pair(key: bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: bytes, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


HOSTILE = {
    "no values though it claims most": header(counts=(0, 2**63)),
    "tensors though it claims most": header(counts=(2**64 - 1, 0)),
    "a key longer than the file": header(struct.pack("<Q", 2**62)),
    "a text longer than the file": header(pair(b"a", 8, struct.pack("<Q", 2**40))),
    "an array longer than the file": header(pair(b"a", 9, struct.pack("<IQ", 4, 2**61))),
    "an array of texts longer than the file": header(pair(b"a", 9, struct.pack("<IQ", 8, 2**61))),
    "arrays within arrays": header(pair(b"a", 9, struct.pack("<IQ", 9, 1) * 50_000)),
    "an unknown type": header(pair(b"a", 77, b"1234")),
    "a text that is not UTF-8": header(pair(b"\xff", 4, b"1234")),
    "a key twice": header(*[pair(b"a", 4, b"1234")] * 2),
    "the version 1": header(version=1),
    "the version of another byte order": header(version=3 << 24),
    "no alignment": header(pair(b"general.alignment", 4, struct.pack("<I", 0)), tensors=tensor(b"a", (1,))),
    "a text as alignment": header(pair(b"general.alignment", 8, text(b"32"))),
    "an alignment that is no power of two": header(pair(b"general.alignment", 4, struct.pack("<I", 33))),
    "too many dimensions": header(tensors=tensor(b"a", (1,) * 5)),
    "a million dimensions": header(tensors=text(b"a") + struct.pack("<I", 10**6)),
    "a shape whose product wraps around": header(tensors=tensor(b"a", (2**32, 2**32))),
    "an empty dimension": header(tensors=tensor(b"a", (4, 0))),
    "an unknown number type": header(tensors=tensor(b"a", (4,), kind=999)),
    "part of a block": header(tensors=tensor(b"a", (33,), kind=8)) + bytes(200),
    "a tensor behind the end": header(tensors=tensor(b"a", (4,), offset=2**63)),
    "a tensor that ends behind the end": header(tensors=tensor(b"a", (400,))) + bytes(100),
    "tensors over one another": header(
        tensors=tensor(b"a", (4,)) + tensor(b"b", (4,), offset=4), counts=(2, 0)
    )
    + bytes(200),
    "a tensor twice": header(tensors=tensor(b"a", (4,)) * 2, counts=(2, 0)) + bytes(200),
    "no architecture": header(tensors=tensor(b"a", (4,))) + bytes(100),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_header_is_refused_by_a_sentence(cache, tmp_path, what):
    path = tmp_path / "hostile.gguf"
    path.write_bytes(HOSTILE[what])
    with pytest.raises(ModelError) as caught:
        load(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_header_is_what_the_gguf_package_reads(tmp_path):
    path = write(
        tmp_path / "tiny.gguf",
        made("llama"),
        says={"some.list": [1.5, 2.5]},
        packed=gguf.GGMLQuantizationType.Q8_0,
    )
    found, reader = read_header(path), gguf.GGUFReader(path)
    fields = {key: field for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    assert found.metadata.keys() == fields.keys()
    for key, field in fields.items():
        value, expected = found.metadata[key], field.contents()
        assert value == (Strings(len(expected)) if isinstance(value, Strings) else expected)
    assert found.tensors.keys() == {tensor.name for tensor in reader.tensors}
    data = np.frombuffer(path.read_bytes(), np.uint8)
    for stored in reader.tensors:
        ours = found.tensors[stored.name]
        assert ours.shape == tuple(reversed(stored.shape.tolist()))
        assert data[ours.start : ours.start + ours.bytes].tobytes() == stored.data.tobytes()


@pytest.mark.parametrize("what", ["pipe", "device", "folder of a pipe", "folder of a link to a device"])
def test_pipes_and_devices_are_not_read(cache, tmp_path, what):
    path = tmp_path / "model.gguf"
    if what.endswith("pipe"):
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(ModelError):
        load(str(tmp_path if what.startswith("folder") else path))


def _damaged(data: bytes, seed: int) -> bytes:
    """The same with a few bytes of its header changed."""
    chance = random.Random(seed)
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed) if chance.random() < 0.2 else 1500)
        changed[place] = chance.choice([0, 1, 255, chance.randrange(256)])
    return bytes(changed)


@pytest.mark.parametrize(
    "seeds", [range(300), pytest.param(range(300, 20_000), marks=pytest.mark.exhaustive)]
)
def test_damaged_header_is_read_or_refused_by_a_sentence(tmp_path, seeds):
    path = tmp_path / "tiny.gguf"
    write_gguf(path)
    whole = path.read_bytes()
    refusals = []
    for seed in seeds:
        path.write_bytes(_damaged(whole, seed))
        try:
            read_header(path)
        except ModelError as error:
            refusals.append(str(error))
    assert len(refusals) > len(seeds) / 10
    assert not any("\n" in refusal for refusal in refusals)


@pytest.mark.parametrize("seeds", [range(25), pytest.param(range(25, 1500), marks=pytest.mark.exhaustive)])
def test_damaged_file_loads_or_is_refused_by_a_sentence(cache, tmp_path, seeds):
    path = tmp_path / "tiny.gguf"
    write_gguf(path)
    whole = path.read_bytes()
    refusals = []
    for seed in seeds:
        path.write_bytes(_damaged(whole, seed))
        try:
            load(str(path))
        except ModelError as error:
            refusals.append(str(error))
    assert refusals
    assert not any("\n" in refusal for refusal in refusals)


def test_folder_stays_as_it_was(cache, tmp_path):
    write_gguf(tmp_path / "tiny.gguf")
    before = {path: path.stat().st_mtime_ns for path in Path(tmp_path).iterdir()}
    load(str(tmp_path))
    assert {path: path.stat().st_mtime_ns for path in before} == before
