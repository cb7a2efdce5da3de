"""An analysis that goes through a model layer by layer, on disk, so that it can go on where it was stopped.

    with Unfinished(name, (windows, tokens, width), torch.bfloat16) as unfinished:
        for layer in range(unfinished.go_on(values, count), layers):
            states = unfinished.states_of(0, 8)      # of windows 0 to 7, before the layer
            unfinished.put(0, after)
            unfinished.finish(layer, values, count)

There are two files of hidden states: one is read while the other is written, so that a layer during which the process
ends is begun again from what was before it. The directory is deleted once the analysis is complete.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from entviz.analysis.massive import MassiveCount
from entviz.analysis.values import Values
from entviz.cache_directory import cache_directory
from entviz.errors import OptionError

_KEPT: Final = 3  # analyses that were stopped; older ones are deleted
_SPARE: Final = 100_000_000  # bytes that stay free on the disk


class Unfinished:
    """The hidden states and values of an analysis, between two layers.

    Args:
        name: the name under which it is found again; None if it is not to be.
        shape: windows, tokens in each, and width.
        dtype: the type of the hidden states.

    Raises:
        OptionError: if the disk has no room for the hidden states.
    """

    def __init__(self, name: str | None, shape: tuple[int, int, int], dtype: torch.dtype) -> None:
        self._shape, self._dtype = shape, dtype
        self._lock: FileLock | None = None
        root = cache_directory() / "analyses"
        root.mkdir(parents=True, exist_ok=True)
        if name is not None:
            self._lock = FileLock(root / f"{name}.lock")
            try:
                self._lock.acquire(timeout=0)
            except Timeout:  # another process does the same just now
                name = self._lock = None
        _make_room(root, name)
        self._named = name is not None
        self._folder = (
            Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root)) if name is None else root / name
        )
        self._folder.mkdir(exist_ok=True)
        size = torch.Size(shape).numel() * dtype.itemsize
        missing = sum(size for number in (0, 1) if not self._file(number).exists())
        free = shutil.disk_usage(self._folder).free
        if missing and missing + _SPARE > free:
            self._leave(delete=not self._said.exists())
            raise OptionError(
                f"The hidden states of this text need {missing / 1e9:.1f} GB on disk in {root}, and {free / 1e9:.1f} "
                "GB are free. Choose fewer windows, or set ENTVIZ_CACHE to a directory on a larger disk."
            )
        self._now, self._next = 0, 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave(delete=error is None or not self._named)

    def go_on(self, values: Values, count: MassiveCount | None) -> int:
        """Take the values of earlier layers into ``values`` and ``count``; returns the number of the layer to begin
        with, which is -1, for the embedding, if nothing was done.
        """
        said: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            said = json.loads(self._said.read_text("utf-8"))
        if not said or not all(self._file(number).exists() for number in (0, 1)):
            said = {}
        self._tensors = [self._mapped(number) for number in (0, 1)]
        if not said:
            return -1
        self._now, self._next = said["now"], 1 - said["now"]
        values.entropies.update({(site, metric): found for site, metric, found in said["entropies"]})
        values.importances.update({(block, metric): found for block, metric, found in said["importances"]})
        if count is not None:
            count.found.update({(window, place): tuple(found) for window, place, found in said["massive"]})
        return int(said["layer"]) + 1

    def states_of(self, first: int, windows: int) -> Tensor:
        """The hidden states (windows, tokens, width) before this layer, from window number ``first`` on."""
        return self._tensors[self._now][first : first + windows]

    def put(self, first: int, states: Tensor) -> None:
        """Keep the hidden states after this layer, from window number ``first`` on."""
        self._tensors[self._next][first : first + len(states)].copy_(states)

    def finish(self, layer: int, values: Values, count: MassiveCount | None) -> None:
        """All windows have gone through ``layer``."""
        with self._file(self._next).open("rb+") as file:
            os.fsync(file.fileno())
        self._now, self._next = self._next, self._now
        said = {
            "layer": layer,
            "now": self._now,
            "entropies": [[*key, found] for key, found in values.entropies.items()],
            "importances": [[*key, found] for key, found in values.importances.items()],
            "massive": [] if count is None else [[*place, found] for place, found in count.found.items()],
        }
        written = self._said.with_suffix(".new")
        written.write_text(json.dumps(said), "utf-8")
        written.replace(self._said)

    @property
    def _said(self) -> Path:
        return self._folder / "values.json"

    def _file(self, number: int) -> Path:
        return self._folder / f"states-{number}"

    def _mapped(self, number: int) -> Tensor:
        numbers = torch.Size(self._shape).numel()
        flat = torch.from_file(str(self._file(number)), shared=True, size=numbers, dtype=self._dtype)
        return flat.view(self._shape)

    def _leave(self, *, delete: bool) -> None:
        self._tensors = []
        if delete:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._lock is not None:
            self._lock.release()
            if delete:
                Path(self._lock.lock_file).unlink(missing_ok=True)


def _make_room(root: Path, name: str | None) -> None:
    """Delete all but the newest analyses that were stopped, and those without a name whose process has ended."""
    stopped = [path for path in root.iterdir() if path.is_dir() and path.name != name]
    stopped.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    nameless = [path for path in stopped if "-" in path.name]
    for path in nameless:
        if not psutil.pid_exists(int(path.name.partition("-")[0])):
            shutil.rmtree(path, ignore_errors=True)
    for path in [path for path in stopped if path not in nameless][_KEPT:]:
        lock = FileLock(root / f"{path.name}.lock")
        with contextlib.suppress(Timeout), lock.acquire(timeout=0):  # nobody works on it
            shutil.rmtree(path, ignore_errors=True)
            Path(lock.lock_file).unlink(missing_ok=True)
