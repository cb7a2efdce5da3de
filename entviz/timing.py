"""Measure how long work takes on a device, from when the device is free until the work is done.

seconds(lambda: anatomy.run(token_ids, drop), loaded.device)
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """The seconds that one call takes. An accelerator's queue is emptied before and after, as calls only fill it."""
    _drain(device)
    started = time.perf_counter()
    run()
    _drain(device)
    return time.perf_counter() - started


def _drain(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
