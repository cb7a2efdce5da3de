"""Whether a model is on this machine, so that opening it downloads nothing. Only file names are checked.

is_downloaded("smollm2-360m")        # False until its files are here
is_here("models/tiny")               # also True if that is a directory or a file
"""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import islice
from pathlib import Path

from entviz.errors import ModelError
from entviz.models.catalog import CATALOG
from entviz.models.regular_files import read_object
from entviz.reading import read_bytes

_WEIGHTS = "model.safetensors"
_MOST_REFERENCE_BYTES = 1000


def is_downloaded(name: str) -> bool:
    """Whether all files of a catalog name or hub id are on this machine, in a package or the hub's cache.

    A path is neither, and is not checked.
    """
    entry = CATALOG.get(name)
    if entry is not None and entry.packaged is not None and entry.packaged.path() is not None:
        return True
    return earlier_download(name if entry is None else entry.hub_id) is not None


def is_here(name: str) -> bool:
    """Whether loading a model needs no download: it is downloaded, or the name is an existing path."""
    try:
        return is_downloaded(name) or Path(name).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # not a possible file name, or ~ with an unknown user
        return False


def earlier_download(hub_id: str) -> Path | None:
    """The directory of a model in the hub's cache, or None if it is not there or not complete."""
    from huggingface_hub import try_to_load_from_cache

    try:
        config = try_to_load_from_cache(hub_id, "config.json")
    except ValueError:  # not a hub id
        return None
    if not isinstance(config, str):
        return None
    directory = Path(config).parent
    return directory if _has_weights(directory, hub_id) else None


def snapshot_in(directory: Path) -> Path | None:
    """Return the main snapshot in a model's folder of the hub's cache (``models--organization--name``).

    None if the directory is not such a folder.

    Raises:
        ModelError: if the folder holds no snapshot, or several without a main one.
    """
    snapshots = directory / "snapshots"
    if not directory.name.startswith("models--") or not snapshots.is_dir():
        return None
    with suppress(OSError, ValueError):  # no such reference, or no file
        main = read_bytes(directory / "refs/main", _MOST_REFERENCE_BYTES).decode("ascii").strip()
        if re.fullmatch(r"\w+", main) and (snapshots / main).is_dir():
            return snapshots / main
    found = sorted(path for path in islice(snapshots.iterdir(), 100) if path.is_dir())
    if len(found) == 1:
        return found[0]
    raise ModelError(
        f"{directory} is a folder of the Hugging Face hub's cache with {len(found) or 'no'} snapshots. "
        + (f"Give one of them, such as {found[0]}." if found else "Download the model again.")
    )


def _has_weights(directory: Path, name: str) -> bool:
    if (directory / _WEIGHTS).is_file():
        return True
    try:
        places = read_object(directory / f"{_WEIGHTS}.index.json", name).get("weight_map")
    except ModelError:
        return False
    shards = set(map(str, places.values())) if isinstance(places, dict) else set()
    return bool(shards) and all((directory / shard).is_file() for shard in shards)
