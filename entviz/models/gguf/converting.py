"""Convert a GGUF file once into a directory of safetensors, which then loads in a second.

A conversion is written under a temporary name, sealed with its digests and renamed when it is complete. So an existing
conversion is complete, even if a process was killed. It is compared with its digests at each use; a damaged conversion
is made again. A file lock prevents two processes from doing the same work.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from entviz.cache_directory import cache_directory
from entviz.errors import ModelError
from entviz.models.gguf.digests import is_whole, remembered_sha256, seal
from entviz.models.gguf.header import Header, check_file
from entviz.models.gguf.parts import join, parts_of, stem_of, whole_header
from entviz.models.gguf.reading import check_header, read_gguf
from entviz.models.library_errors import telling_line
from entviz.progress import Progress, silent, waiting_for_process

# Raise it whenever a change here would write different files; older conversions are then made again.
CONVERSION_VERSION = 2

_LOG = logging.getLogger(__name__)
_SPARE_BYTES = 50_000_000  # for the tokenizer and the config


def converted(path: Path, expected_sha256: str | None = None, progress: Progress = silent) -> Path:
    """Return a directory of safetensors, config and tokenizer with the content of a GGUF file.

    The weights are float32 and exactly those that transformers de-quantizes from the file.

    Args:
        path: the ``.gguf`` file, or any part of one that was split.
        expected_sha256: what the file's SHA-256 must be; None to take any file.
        progress: called with the number of unpacked tensors and of all tensors, and from time to time before, after,
            and while another process converts the same file. If it raises ``Cancelled``, no files are left.

    Raises:
        ModelError: if the file is not the expected one, cannot be read as a causal language model, or the cache
            directory cannot be written.
    """
    import transformers

    parts = parts_of(path)
    digest = _digest(parts, progress)
    if expected_sha256 is not None and digest != expected_sha256:
        raise ModelError(
            f"The model file {path} is damaged: its SHA-256 is {digest[:12]}… instead of "
            f"{expected_sha256[:12]}…. Reinstall the package that it came with."
        )
    stem = re.sub(r"[^A-Za-z0-9.-]+", "-", stem_of(path))[:60]
    key = f"{stem}-{digest[:20]}-transformers-{transformers.__version__}-{CONVERSION_VERSION}"
    models = cache_directory() / "models"
    target = models / key
    if target.is_dir() and is_whole(target, progress):
        return target
    with _sentence_of_disk(models):
        models.mkdir(parents=True, exist_ok=True)
        with waiting_for_process(
            FileLock(models / f"{key}.lock"), progress, partial(_say_who_converts, path)
        ):
            # These were left by a killed process: a running one would hold the lock.
            for orphan in models.glob(f"{key}.*.partial"):
                shutil.rmtree(orphan, ignore_errors=True)
            if target.is_dir():
                if is_whole(target, progress):
                    return target
                _LOG.warning("The conversion of %s was damaged on the disk, so it is made again.", path)
                # Renamed first: a process that is reading it keeps its open files.
                damaged = target.rename(models / f"{key}.damaged.partial")
                shutil.rmtree(damaged, ignore_errors=True)
            partial_directory = Path(tempfile.mkdtemp(prefix=f"{key}.", suffix=".partial", dir=models))
            try:
                _convert(parts, partial_directory, progress)
                partial_directory.rename(target)
            finally:
                shutil.rmtree(partial_directory, ignore_errors=True)
    return target


def _say_who_converts(path: Path) -> None:
    _LOG.warning(
        "%s is being converted already, by another process or session. This load waits for that to finish.",
        path,
    )


def _digest(parts: Sequence[Path], progress: Progress) -> str:
    """The file's SHA-256; for several parts, the SHA-256 of their digests."""
    for part in parts:
        check_file(part)
    try:
        digests = [remembered_sha256(part, progress) for part in parts]
    except OSError as error:
        raise ModelError(
            f"{parts[0]} cannot be read ({error.strerror or error}). Choose a file that you can open."
        ) from error
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _convert(parts: Sequence[Path], directory: Path, progress: Progress) -> None:
    before = [_state(part) for part in parts]
    header = whole_header(parts)
    check_header(header)
    _check_room(header, len(parts), directory)
    whole = parts[0] if len(parts) == 1 else directory / "whole.gguf"
    if len(parts) > 1:
        join(parts, whole, progress)
    model, tokenizer = read_gguf(whole, header=header, progress=progress)
    if len(parts) > 1:
        whole.unlink()
    if [_state(part) for part in parts] != before:
        raise ModelError(f"{parts[0]} changed while it was being read. Load it again when it is complete.")
    progress(0, 0)
    _save(model, tokenizer, directory)
    seal(directory, progress)
    _flush(directory)


def _state(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _save(model: Any, tokenizer: Any, directory: Path) -> None:
    from safetensors import SafetensorError

    try:
        model.save_pretrained(directory)
        if tokenizer is not None:
            tokenizer.save_pretrained(directory)
    except SafetensorError as error:  # how the library reports a full disk
        raise OSError(telling_line(error)) from error


def _check_room(header: Header, parts: int, directory: Path) -> None:
    needed = 4 * header.elements + (header.bytes if parts > 1 else 0) + _SPARE_BYTES
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise ModelError(
            f"{header.path} needs {needed / 1e9:.1f} GB of disk space once it is unpacked, but only {free / 1e9:.1f} "
            f"GB are free in {directory.parent}. Free some space there, or set the environment variable ENTVIZ_CACHE "
            "to a directory with more space."
        )


@contextmanager
def _sentence_of_disk(models: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelError(
            f"The converted model cannot be written to {models}: {error.strerror or error}. Free some space there, or "
            "set the environment variable ENTVIZ_CACHE to a directory that you can write to."
        ) from error


def _flush(directory: Path) -> None:
    """Flush every file to the disk before the rename, so that a power cut cannot leave an empty file."""
    for file in directory.iterdir():
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
