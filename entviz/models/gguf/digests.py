"""Check that files have not changed: the SHA-256 of a model file, and the xxh3 of its conversion.

SHA-256 names a file for the catalog and the cache, and is remembered by path, size and time of change. xxh3 runs at
the speed of memory, so a conversion is compared with its digest at each load.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from pathlib import Path
from typing import Final

import xxhash

from entviz.cache_directory import cache_directory
from entviz.progress import Progress, silent
from entviz.reading import parse_json, read_bytes, read_in_chunks

DIGESTS: Final = "entviz-digests.json"
_MOST_BYTES: Final = 1_000_000


def sha256_of(path: Path, progress: Progress = silent) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal; ``progress`` may raise ``Cancelled``."""
    digest = hashlib.sha256()
    for chunk in read_in_chunks(path, progress):
        digest.update(chunk)
    return digest.hexdigest()


def remembered_sha256(path: Path, progress: Progress = silent) -> str:
    """Return a file's SHA-256, and hash it only if its path, size or time of change is new.

    ``progress`` is called while it is hashed, and can raise ``Cancelled``.
    """
    status = path.stat()
    identity = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    record = cache_directory() / "digests" / hashlib.sha256(identity.encode()).hexdigest()
    try:
        digest = record.read_text("ascii")
        if re.fullmatch("[0-9a-f]{64}", digest):
            return digest
    except (OSError, UnicodeDecodeError):
        pass
    digest = sha256_of(path, progress)
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=record.parent, delete=False) as file:
            file.write(digest)
        Path(file.name).replace(record)
    except OSError:
        pass  # the only loss is that the file is hashed again next time
    return digest


def seal(directory: Path, progress: Progress = silent) -> None:
    """Write the digests of a directory's files beside them; ``progress`` may raise ``Cancelled``."""
    digests = {file.name: xxh3_of(file, progress) for file in sorted(directory.iterdir()) if file.is_file()}
    (directory / DIGESTS).write_text(json.dumps(digests), "utf-8")


def is_whole(directory: Path, progress: Progress = silent) -> bool:
    """Whether a sealed directory holds the files it was sealed with, byte for byte, and no others.

    ``progress`` is called while they are compared, and may raise ``Cancelled``.
    """
    try:
        digests = parse_json(read_bytes(directory / DIGESTS, _MOST_BYTES))
        names = {file.name for file in directory.iterdir()} - {DIGESTS}
        return (
            isinstance(digests, dict)
            and names == digests.keys()
            and all(xxh3_of(directory / name, progress) == digest for name, digest in digests.items())
        )
    except (OSError, ValueError):
        return False


def xxh3_of(path: Path, progress: Progress = silent) -> str:
    """Return the 128-bit xxh3 of a file's bytes, in hexadecimal; ``progress`` may raise ``Cancelled``."""
    digest = xxhash.xxh3_128()
    for chunk in read_in_chunks(path, progress):
        digest.update(chunk)
    return digest.hexdigest()
