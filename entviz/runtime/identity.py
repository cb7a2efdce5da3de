"""Identify the model that a name currently refers to from its files, without reading or loading them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from entviz.errors import ModelError
from entviz.models import CATALOG

_MOST_FILES = 10_000  # files in a directory; a directory with more is not a model
_READ = (".safetensors", ".json", ".gguf", ".txt", ".model", ".jinja", ".tiktoken")


def model_identity(name: str) -> str | None:
    """A hash of the names, sizes and times of a model's files; None if the files are not on this machine.

    As long as the hash is the same, loading the name gives the same model.
    """
    try:
        files = _files(name)
    except (
        OSError,
        ValueError,
        RuntimeError,
        ModelError,
    ):  # not a possible file name, or ~ with an unknown user
        return None
    if not files:
        return None
    digest = hashlib.sha256()
    for path in files:
        status = path.stat()
        digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _files(name: str) -> list[Path]:
    entry = CATALOG.get(name)
    if entry is not None:
        packaged = entry.packaged.path() if entry.packaged is not None else None
        return [packaged] if packaged is not None else _of_the_hub(entry.hub_id)
    path = Path(name).expanduser()
    if path.is_file():
        return [path.absolute()]
    if path.is_dir():
        from entviz.models.here import snapshot_in

        return _of_a_directory((snapshot_in(path) or path).absolute())
    return _of_the_hub(name)


def _of_a_directory(directory: Path) -> list[Path]:
    files: list[Path] = []
    with os.scandir(directory) as entries:
        for number, entry in enumerate(entries):
            if number >= _MOST_FILES:
                return []
            if entry.name.endswith(_READ) and entry.is_file():
                files.append(Path(entry.path))
    return sorted(files)


def _of_the_hub(hub_id: str) -> list[Path]:
    """The files of an earlier download. The hub itself is not contacted, because this has to be fast."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(hub_id, "config.json")  # raises a ValueError if this is not a hub id
    return _of_a_directory(Path(config).parent) if isinstance(config, str) else []
