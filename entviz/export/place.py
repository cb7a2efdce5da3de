"""Writing a directory whole or not at all.

    with new_directory(Path("out"), replace=False) as directory:
        (directory / "README.md").write_text("…")

The files are written into a hidden directory beside the target, flushed to the disk and renamed when all are there.
An error or a full disk leaves nothing. A killed process leaves the hidden directory, never a half target; the next
export to the same place tidies up.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from entviz.errors import BlockError, ExportError
from entviz.export.recipe import read_recipe

MARK = "recipe.json"  # is in every export, and tells one from a directory that is someone's own
_HOST = re.sub(r"[^A-Za-z0-9]+", "", socket.gethostname())[:40] or "host"


def check_target(target: Path, *, replace: bool) -> None:
    """Check that a directory may be written.

    Raises ``ExportError`` where there is something already: always, if it is not an earlier export, so that no
    directory of someone's own is ever removed.
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
def new_directory(target: Path, *, replace: bool, needed_bytes: int = 0) -> Iterator[Path]:
    """A directory to write into, which becomes ``target`` when the block ends without an error.

    Args:
        replace: whether an earlier export there may be replaced.
        needed_bytes: about how much will be written, to refuse at once what cannot fit.

    Raises ``ExportError`` where it cannot be made, does not fit, or the disk runs full.
    """
    target = target.expanduser().absolute()
    directory = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _tidy_up(target)
        check_target(target, replace=replace)
        free = shutil.disk_usage(target.parent).free
        if needed_bytes > free:
            raise ExportError(
                f"The export takes about {needed_bytes / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free at "
                f"{target.parent}. Make room, or name another directory."
            )
        name = f".{target.name}.{_HOST}-{os.getpid()}.{secrets.token_hex(4)}.partial"
        directory = target.parent / name
        directory.mkdir()
        yield directory
        _flush(directory)
        _swap(directory, target)
    except OSError as error:
        raise ExportError(
            f"The export cannot be written to {target} ({error.strerror or error}). Nothing was left there. "
            "Make room, or name another directory."
        ) from error
    finally:
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)


def _is_export(directory: Path) -> bool:
    try:
        read_recipe(directory / MARK)
    except BlockError:
        return False
    return True


def _tidy_up(target: Path) -> None:
    """Remove what processes of this machine left here that were killed, and put back what they were replacing."""
    left = re.compile(rf"\.{re.escape(target.name)}\.{_HOST}-(\d+)\.\w+\.(partial|replaced)")
    for path in target.parent.glob(".*"):
        match = left.fullmatch(path.name)
        if match is None or psutil.pid_exists(int(match[1])):
            continue
        if match[2] == "replaced" and not target.exists():
            path.rename(target)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _flush(directory: Path) -> None:
    """Have every file on the disk before the rename, so that a power cut cannot leave a named but empty one."""
    for file in directory.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _swap(directory: Path, target: Path) -> None:
    """Rename ``directory`` to ``target``; what is there goes only once the new one has its place."""
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
