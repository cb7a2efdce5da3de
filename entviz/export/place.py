"""Write a directory completely or not at all.

    with new_directory(Path("out"), replace=False) as directory:
        (directory / "README.md").write_text("…")

The files are written into a hidden directory beside the target, flushed to the disk and renamed when they are complete.
An error or a full disk leaves nothing. A killed process leaves the hidden directory but never an incomplete target; the
next export to the same place removes the hidden directory.

If the size of the folder is limited, a hidden directory counts with its expected size, which is part of its name. So
exports that run at the same time, in threads or processes, see what the others still need. There is no separate list,
so a killed process leaves no reservation behind.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock

from entviz.errors import BlockError, ExportError
from entviz.export.recipe import read_recipe

MARK = "recipe.json"  # is in every export, and distinguishes an export from a user's own directory
LOCK = ".room.lock"  # held while room is checked and reserved, never while anything is written
_HOST = re.sub(r"[^A-Za-z0-9]+", "", socket.gethostname())[:40] or "host"
# The name of a hidden directory: export, process, expected size in bytes, and whether it is new or being replaced.
_OURS = re.compile(
    r"\.(?P<name>.+)\.(?P<host>[A-Za-z0-9]+)-(?P<pid>\d+)\.[0-9a-f]{8}\.(?P<bytes>\d+)\.(?P<state>partial|replaced)"
)


def check_target(target: Path, *, replace: bool) -> None:
    """Check that a directory may be written.

    Raises ``ExportError`` if something is there already. An earlier export may be replaced on request; anything else is
    always refused, so that a user's own directory is never removed.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ExportError(f"{target} is not a directory. Name a directory that does not exist yet.")
    try:
        occupied = target.is_dir() and any(target.iterdir())
    except OSError as error:
        raise ExportError(f"{target} cannot be read ({error.strerror}). Name another directory.") from error
    if not occupied:
        return
    if not _is_export(target):
        raise ExportError(
            f"{target} holds files that are not an earlier export, and those are never overwritten. Name another "
            "directory."
        )
    if not replace:
        raise ExportError(
            f"{target} holds an earlier export. Name another directory, or replace it (--force)."
        )


@contextmanager
def new_directory(
    target: Path, *, replace: bool, needed_bytes: int = 0, room_bytes: int | None = None
) -> Iterator[Path]:
    """A directory to write into, which becomes ``target`` when the block ends without an error.

    Args:
        replace: whether an earlier export there may be replaced.
        needed_bytes: the approximate size of the export, to refuse one that cannot fit before it is written.
        room_bytes: the largest total size of the folder that contains ``target``, including this export; None for no
            limit.

    Raises ``ExportError`` if the directory cannot be created, does not fit, or the disk becomes full.
    """
    try:
        target = target.expanduser().absolute()
    except (RuntimeError, ValueError) as error:  # an unknown user's home, or an unpaired surrogate
        raise ExportError(
            f"The export cannot be written to {target} ({error}). Name another directory."
        ) from error
    directory = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _tidy_up(target.parent, target.name)
        check_target(target, replace=replace)
        free = shutil.disk_usage(target.parent).free
        if needed_bytes > free:
            raise ExportError(
                f"The export needs about {needed_bytes / 1e6:,.0f} MB, but only {free / 1e6:,.0f} MB are free in "
                f"{target.parent}. Free some space, or name another directory."
            )
        with _counting(target.parent, room_bytes) as check_room:
            check_room(needed_bytes)
            owner = f"{_HOST}-{os.getpid()}.{secrets.token_hex(4)}"
            directory = target.parent / f".{target.name}.{owner}.{needed_bytes}.partial"
            directory.mkdir()
        yield directory
        _flush(directory)
        with _counting(target.parent, room_bytes) as check_room:
            check_room(0)  # it may have become larger than estimated
            _swap(directory, target)
    except OSError as error:
        raise ExportError(
            f"The export cannot be written to {target} ({error.strerror or error}). Nothing was left there. "
            "Make room, or name another directory."
        ) from error
    finally:
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _counting(folder: Path, room_bytes: int | None) -> Iterator[Callable[[int], None]]:
    """Yield a check that a given number of bytes can be added to a folder. No other export reserves space until the
    block ends.

    The check raises ``ExportError`` if they cannot.
    """
    if room_bytes is None:
        yield lambda more: None
        return

    def check(more: int) -> None:
        used = used_bytes(folder)
        if used + more > room_bytes:
            this = f", and this one takes about {more / 1e6:,.1f} MB" if more else " with this one"
            raise ExportError(
                f"The exports on this server, including those still running, take {used / 1e6:,.1f} of "
                f"{room_bytes / 1e6:,.0f} MB{this}. Ask its administrator to remove some from {folder} or to raise "
                "ENTVIZ_EXPORTS_MB."
            )

    with FileLock(folder / LOCK, timeout=60):
        _tidy_up(folder)
        yield check


def used_bytes(folder: Path) -> int:
    """The total size of the exports in a folder, including the expected size of unfinished ones, in bytes."""
    total = 0
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            size = sum(_size(file) for file in path.rglob("*"))
            ours = _OURS.fullmatch(path.name)
            total += max(size, int(ours["bytes"]) if ours and ours["state"] == "partial" else 0)
    return total


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size if file.is_file() else 0
    except FileNotFoundError:  # a temporary file of a process that is writing
        return 0


def _is_export(directory: Path) -> bool:
    try:
        read_recipe(directory / MARK)
    except BlockError:
        return False
    return True


def _tidy_up(folder: Path, name: str | None = None) -> None:
    """Remove the hidden directories of killed processes of this machine, and restore exports they were replacing.

    With a ``name``, only those of that export.
    """
    for path in folder.glob(".*"):
        left = _OURS.fullmatch(path.name)
        if left is None or (name is not None and left["name"] != name):
            continue
        if left["host"] != _HOST or psutil.pid_exists(int(left["pid"])):
            continue
        target = folder / left["name"]
        if left["state"] == "replaced" and not target.exists():
            path.rename(target)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _flush(directory: Path) -> None:
    """Flush every file to the disk before the rename, so that a power cut cannot leave an empty file."""
    for file in directory.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _swap(directory: Path, target: Path) -> None:
    """Rename ``directory`` to ``target``; an existing target is removed only after the new one is in its place."""
    if not target.exists() or not any(target.iterdir()):
        directory.rename(target)
        return
    old = directory.with_suffix(".replaced")
    target.rename(old)
    try:
        directory.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
