"""Which number type to evaluate in: bfloat16 where the hardware multiplies it faster, told by timing, not by name.

    resolved("auto", loaded.device)          # "bfloat16" or "float32"
    speedup(torch.device("cpu"))             # 2.1: a bfloat16 matrix product takes 1 / 2.1 of a float32 one's time

A processor without bfloat16 instructions emulates them and is slower than in float32; one that has them, and any
recent GPU, is about twice as fast or more. Only evaluations run in bfloat16: entropies are measured in float32.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import threading
from functools import partial
from pathlib import Path

import torch

from entviz.cache_directory import cache_directory
from entviz.timing import seconds

AUTO = "auto"
WORTH_IT = 1.2  # times as fast; below it the lost digits buy nothing
_ROWS, _WIDTH, _INNER = 512, 1024, 4096  # a batch of tokens through an MLP's first matrix
_ROUNDS = 7
_lock = threading.Lock()
_known: dict[str, float] = {}


def resolved(dtype: str, device: torch.device) -> str:
    """The number type that ``dtype`` means on ``device``: itself, or for ``auto`` the fastest that is exact enough."""
    if dtype != AUTO:
        return dtype
    return "bfloat16" if speedup(device) >= WORTH_IT else "float32"


def speedup(device: torch.device) -> float:
    """How many times as fast as in float32 a matrix product is in bfloat16 on ``device``.

    Timed once for a machine and kept in the cache directory, so that one machine always gives one answer.
    """
    name = _name(device)
    with _lock:
        if name not in _known:
            kept = _read()
            if name not in kept:
                kept[name] = _timed(device)
                _write(kept)
            _known[name] = kept[name]
        return _known[name]


def _timed(device: torch.device) -> float:
    times: dict[torch.dtype, float] = {}
    operands = {
        dtype: (
            torch.ones(_ROWS, _WIDTH, dtype=dtype, device=device),
            torch.ones(_INNER, _WIDTH, dtype=dtype, device=device),
        )
        for dtype in (torch.float32, torch.bfloat16)
    }
    try:
        for _ in range(_ROUNDS):  # in turn, so that a machine whose speed drifts slows both alike
            for dtype, (states, weights) in operands.items():
                spent = seconds(partial(torch.nn.functional.linear, states, weights), device)
                # The least of several is what the hardware takes; more is what else ran at the time.
                times[dtype] = min(spent, times.get(dtype, spent))
    except (RuntimeError, NotImplementedError):  # a device that has no bfloat16 product at all
        return 0.0
    return times[torch.float32] / times[torch.bfloat16]


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        hardware = torch.cuda.get_device_name(device)
    else:
        # Kinds of processor differ in what torch can use of them; threads change neither type's share.
        hardware = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()} {_processor()}"
    return f"{device.type} {hardware}, torch {torch.__version__}"


def _processor() -> str:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in flags.splitlines() if "model name" in line), "")


def _path() -> Path:
    return cache_directory() / "bfloat16-speedup.json"


def _read() -> dict[str, float]:
    try:
        found = json.loads(_path().read_text(encoding="utf-8"))
        return {str(name): float(value) for name, value in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # not there, or damaged
        return {}


def _write(speedups: dict[str, float]) -> None:
    try:
        _path().parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=_path().parent, suffix=".part")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(speedups, file)
            Path(temporary).replace(_path())
        finally:
            Path(temporary).unlink(missing_ok=True)  # where the disk was full
    except OSError:  # a cache that cannot be written is no reason to fail
        return
