"""The folder to which a server writes exports: users of its pages can only name directories inside it.

    place("smollm2-135m-hf")                     # a path in ENTVIZ_EXPORTS, or "exports" in the cache directory
    archive(exported)                            # its files as one zip, if they are small enough

``ENTVIZ_EXPORTS_MB`` (default 20000) bounds the total size of the folder.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
from pathlib import Path

from entviz.cache_directory import cache_directory
from entviz.errors import ExportError
from entviz.export.request import Exported
from entviz.limits import limit

MOST_ZIPPED = 150_000_000  # bytes; a download is held in memory until it is fetched
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", re.ASCII)
_USUAL_MB = 20_000


def exports_directory() -> Path:
    """The directory of exports requested on a page. It may not exist yet."""
    override = os.environ.get("ENTVIZ_EXPORTS")
    return Path(override).expanduser().absolute() if override else cache_directory() / "exports"


def place(name: str) -> Path:
    """The directory of that name in :func:`exports_directory`.

    Raises ``ExportError`` if the name is not a plain file name, so that the path cannot be outside the folder.
    """
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise ExportError(
            "Name the folder with up to 80 letters, digits, dots, dashes and underscores, a letter or digit first."
        )
    return exports_directory() / name


def room_bytes() -> int:
    """The largest total size of the folder in bytes; raises ``OptionError`` if ``ENTVIZ_EXPORTS_MB`` is invalid."""
    return limit("ENTVIZ_EXPORTS_MB", _USUAL_MB) * 10**6


def archive(exported: Exported) -> bytes:
    """All files of an export as an uncompressed zip, because weights hardly compress.

    Raises ``ExportError`` if they are too large for a download, or no longer there.
    """
    if exported.bytes > MOST_ZIPPED:
        raise ExportError(f"Downloads are for up to {MOST_ZIPPED / 1e6:.0f} MB. Copy {exported.directory}.")
    buffer = io.BytesIO()
    try:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as packed:
            for name in exported.files:
                packed.write(exported.directory / name, f"{exported.directory.name}/{name}")
    except OSError as error:
        raise ExportError(f"{exported.directory} is missing or has changed. Export it again.") from error
    return buffer.getvalue()
