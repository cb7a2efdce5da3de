"""Choose the number type to evaluate in: bfloat16 if the hardware multiplies it faster, which is found by timing.

    resolved("auto", loaded.device)          # "bfloat16" or "float32"
    speedup(torch.device("cpu"))             # 2.1: a bfloat16 matrix product takes 1 / 2.1 of a float32 one's time

A processor without bfloat16 instructions emulates them and is slower than in float32. A processor with them, and any
recent GPU, is at least about twice as fast. Evaluations and the fits of repairs run in bfloat16 where that is faster;
entropies are measured in float32.
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
WORTH_IT = 1.2  # times as fast; a smaller gain is not worth the lost digits
_ROWS, _WIDTH, _INNER = 512, 1024, 4096  # a batch of tokens through an MLP's first matrix
_ROUNDS = 7
_lock = threading.Lock()
_known: dict[str, float] = {}


def resolved(dtype: str, device: torch.device) -> str:
    """The number type for ``device``: ``dtype`` itself, or for ``auto`` the fastest that is accurate enough."""
    if dtype != AUTO:
        return dtype
    return "bfloat16" if speedup(device) >= WORTH_IT else "float32"


def speedup(device: torch.device) -> float:
    """The speed of a bfloat16 matrix product on ``device``, as a multiple of the speed in float32.

    It is timed once for each machine and stored in the cache directory, so that a machine always gives the same result.
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
        for _ in range(_ROUNDS):  # in turn, so that a change in the machine's speed affects both alike
            for dtype, (states, weights) in operands.items():
                spent = seconds(partial(torch.nn.functional.linear, states, weights), device)
                # The shortest of several times shows the hardware; longer ones include other programs.
                times[dtype] = min(spent, times.get(dtype, spent))
    except (RuntimeError, NotImplementedError):  # a device that has no bfloat16 product at all
        return 0.0
    return times[torch.float32] / times[torch.bfloat16]


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        hardware = torch.cuda.get_device_name(device)
    else:
        # Torch uses different instructions on different processors. The number of threads does not change the ratio.
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
    except (OSError, ValueError, TypeError, AttributeError):  # missing or damaged
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
            Path(temporary).unlink(missing_ok=True)  # left behind when the disk was full
    except OSError:  # the answer is right even if it cannot be cached
        return
