"""Threads for kernels: the calling thread, and helper threads that all callers share.

A kernel releases Python's lock, so Python threads are sufficient, and any number of threads can call kernels at the
same time. numba's own parallel loops are not used: their thread-safe layers need a library that not every machine has
(``tbb``, or a certain file of GNU OpenMP, which would be a second one beside torch's), and the layer that is always
available aborts the process if two threads use it at the same time.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import torch

# Waking another thread costs about as much as reading this many numbers.
NUMBERS_WORTH_A_THREAD = 32768


def run(kernel: Callable[..., None], items: int, work: int, *arguments: Any) -> None:
    """Call ``kernel(first, last, *arguments)`` for ranges that together cover all items, and return when all are done.

    Args:
        kernel: a compiled function that changes only data of its own items.
        items: the number of items.
        work: the approximate number of numbers to read; for few numbers no second thread is used.
        arguments: arrays and numbers.
    """
    threads = max(1, min(torch.get_num_threads(), items, work // NUMBERS_WORTH_A_THREAD))
    mine, *others = pairwise(items * part // threads for part in range(threads + 1))
    helpers = [(_pool().submit(kernel, *share, *arguments), share) for share in others]
    kernel(*mine, *arguments)
    for helper, share in reversed(helpers):
        if (
            helper.cancel()
        ):  # its thread has not started it yet; if the processors are busy, that may take long
            kernel(*share, *arguments)
    for helper, _ in helpers:
        if not helper.cancelled():
            helper.result()


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="entviz-kernel")
