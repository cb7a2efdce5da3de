"""Threads for kernels: this one, and helpers that all callers share.

A kernel lets go of Python's lock, so threads of Python are enough, and any number of callers may come at once. numba's
own parallel loops are not used: their safe layers need a library that not every machine has (``tbb``, or one certain
file of GNU OpenMP, which then is a second one beside torch's), and the one that is always there aborts the process
when two threads come at once.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import torch

# Waking another thread costs about as much as looking at so many numbers.
NUMBERS_WORTH_A_THREAD = 32768


def run(kernel: Callable[..., None], items: int, work: int, *arguments: Any) -> None:
    """Call ``kernel(first, last, *arguments)`` for ranges that together are all items, and return when all are done.

    Args:
        kernel: a compiled function that changes nothing but what belongs to its items.
        items: how many there are.
        work: about how many numbers there are to look at; few are not worth a second thread.
        arguments: arrays and numbers.
    """
    threads = max(1, min(torch.get_num_threads(), items, work // NUMBERS_WORTH_A_THREAD))
    mine, *others = pairwise(items * part // threads for part in range(threads + 1))
    helpers = [(_pool().submit(kernel, *share, *arguments), share) for share in others]
    kernel(*mine, *arguments)
    for helper, share in reversed(helpers):
        if (
            helper.cancel()
        ):  # its thread has not come to it yet: where processors are busy, that may take long
            kernel(*share, *arguments)
    for helper, _ in helpers:
        if not helper.cancelled():
            helper.result()


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="entviz-kernel")
