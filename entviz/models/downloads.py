"""Disk space for a download, reserved before it begins and held until it ends.

    with room_for("org/model", needed_bytes, cache) as arrived:       # raises ModelError, with figures
        ...
        arrived(bytes_so_far)

``ENTVIZ_DOWNLOAD_MB`` (default 20000) limits each download. Some of the disk always stays free, and the space that
running downloads of this process still need is not counted as free.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from entviz.errors import ModelError
from entviz.limits import limit

USUAL_MB = 20_000
SPARE_BYTES = 1_000_000_000  # bytes that a download leaves free on the disk for other files

_lock = threading.Lock()
_left: dict[object, int] = {}  # bytes that each running download still has to fetch


@contextmanager
def room_for(name: str, needed_bytes: int, folder: Path) -> Iterator[Callable[[int], None]]:
    """Reserve space for a download until the block ends; yields a function to call with the bytes that have arrived.

    Args:
        name: the model's name for messages.
        needed_bytes: the size of the download; nothing is checked if it is 0.
        folder: the folder of the download, which is created if necessary.

    Raises:
        ModelError: if the download is larger than allowed, or than the free space.
        OptionError: if ``ENTVIZ_DOWNLOAD_MB`` is not a whole number above 0.
    """
    most = limit("ENTVIZ_DOWNLOAD_MB", USUAL_MB) * 10**6
    if needed_bytes > most:
        raise ModelError(
            f"The download of {name} has {needed_bytes / 1e6:,.1f} MB, but at most {most / 1e6:,.0f} MB are allowed. "
            "Choose a smaller model, or ask the administrator of this server to raise ENTVIZ_DOWNLOAD_MB."
        )
    download = object()
    with _lock:
        _check_disk(name, needed_bytes, folder)
        _left[download] = needed_bytes

    def arrived(done: int) -> None:
        _left[download] = max(0, needed_bytes - done)

    try:
        yield arrived
    finally:
        del _left[download]


def _check_disk(name: str, needed_bytes: int, folder: Path) -> None:
    if not needed_bytes:
        return
    folder.mkdir(parents=True, exist_ok=True)
    others = sum(_left.values())
    free = max(0, shutil.disk_usage(folder).free - others)
    if needed_bytes + SPARE_BYTES > free:
        promised = f" beside the {others / 1e9:.1f} GB that other downloads still need" if others else ""
        raise ModelError(
            f"{name} needs {needed_bytes / 1e9:.1f} GB of disk space, and {SPARE_BYTES / 1e9:.0f} GB must stay free, "
            f"but only {free / 1e9:.1f} GB are free{promised}. Free some space in {folder}, or set the environment "
            "variable HF_HOME to a folder on another disk."
        )
