"""The directory for compiled kernels: one in which only this user can write.

numba reads its cache by unpickling it, which can run code. So a directory to which others can write is not used.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numba import config
from numba.core.caching import FunctionCache

from entviz.cache_directory import cache_directory


@contextmanager
def private_cache(function: Callable[..., Any]) -> Iterator[bool]:
    """Within the block, numba caches functions in a directory in which only this user can write.

    That is numba's default directory if only this user can write there, otherwise a directory of entviz. The value says
    whether there is such a directory.
    """
    if only_owner_writes(Path(FunctionCache(function).cache_path)):
        yield True
        return
    own, before = cache_directory() / "kernels", config.CACHE_DIR
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    config.CACHE_DIR = str(own)
    try:
        yield only_owner_writes(own)
    finally:
        config.CACHE_DIR = before


def only_owner_writes(directory: Path) -> bool:
    """Whether only this user and root can change a directory's content or replace the directory."""
    if os.name != "posix":
        return True  # on Windows a user's directories are private, and modes say nothing
    directory = directory.resolve()
    try:
        if not _is_ours(directory.stat()):
            return False
        for above in directory.parents:
            status = above.stat()
            # In a sticky directory such as /tmp, only the owner of a file can rename it.
            if not _is_ours(status) and not (status.st_mode & stat.S_ISVTX and status.st_uid in _trusted()):
                return False
        # Nobody else can reach the files.
        closed = not directory.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH)
        with os.scandir(directory) as entries:
            return closed or all(_is_ours(entry.stat()) for entry in entries)
    except OSError:
        return False


def _is_ours(status: os.stat_result) -> bool:
    return status.st_uid in _trusted() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _trusted() -> tuple[int, int]:
    return 0, os.geteuid()
