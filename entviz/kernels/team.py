"""Threads for kernels: those that torch computes on, so that the two never compete for a core.

After every torch operation its OpenMP threads stay awake for some milliseconds, waiting for the next. A second set of
threads would share the cores with them, so a kernel is handed to the very same ones, through the same function that
compiled OpenMP programs use. Where there is none (torch is built on another threading library than GNU's or LLVM's on
Linux) a few Python threads help; a kernel does not hold Python's lock.

Both ways are safe from many Python threads at once.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

# Waking another thread costs about as much as looking at so many numbers.
NUMBERS_WORTH_A_THREAD = 32768

Runner = Callable[[int, int, int], None]


def run(address: int, head: np.ndarray, work: int) -> None:
    """Run a kernel and return when it is done.

    Args:
        address: of the compiled function.
        head: its argument, int64 (see ``compiling``); the caller keeps alive what it points to.
        work: about how many numbers there are to look at; few are not worth a second thread.
    """
    items = int(head[1])
    if items == 0:
        return
    threads = max(1, min(torch.get_num_threads(), items, work // NUMBERS_WORTH_A_THREAD))
    _runner()(address, head.ctypes.data, threads)


@functools.cache
def _runner() -> Runner:
    return on_openmp_threads() or on_python_threads


def on_openmp_threads() -> Runner | None:
    """A runner on torch's own threads, or None where the process has no such OpenMP library."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        parallel = ctypes.CDLL(None).GOMP_parallel
    except (OSError, AttributeError):
        return None
    parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    parallel.restype = None

    def runner(address: int, data: int, threads: int) -> None:
        parallel(address, data, threads, 0)

    return runner


def on_python_threads(address: int, data: int, threads: int) -> None:
    """A runner on this thread and on helpers that all callers share."""
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)
    helpers = [_pool().submit(function, data) for _ in range(threads - 1)]
    function(data)
    for helper in helpers:
        if not helper.cancel():  # one that has not begun is not needed any more: there is no item left
            helper.result()


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="entviz-kernel")
