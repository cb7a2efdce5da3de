"""What the compiled kernels promise beyond the right numbers: late loading, a way without them, threads."""

import ctypes
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import numpy as np
import pytest
import torch
from numba import carray

from entviz import kernels
from entviz.estimators import block_importances, estimator
from entviz.kernels import compiling, team
from tests.estimators.ways import hidden_states, running_on


def python(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300
    )
    return done.stdout.strip()


def test_nothing_is_compiled_before_it_is_needed() -> None:
    script = "import sys, entviz.estimators, entviz.evaluation.loss; print({'numba', 'llvmlite'} & set(sys.modules))"
    assert python(script) == "set()"


def test_without_numba_torch_gives_the_same_numbers() -> None:
    script = """
import sys
sys.modules["numba"] = None  # importing it raises ImportError
import torch
from entviz import kernels
from entviz.estimators import ESTIMATORS, block_importances, estimator
states = torch.randn(2, 40, 24, generator=torch.Generator().manual_seed(5))
print(kernels.load(), *(estimator(name)(states)[1].item() for name in ESTIMATORS),
      block_importances(states, states + 1, states - 1)["mlp"][1].item())
"""
    none, *values = python(script).split()
    states = torch.randn(2, 40, 24, generator=torch.Generator().manual_seed(5))
    assert none == "None"
    expected = [estimator(name)(states)[1].item() for name in ("bucket", "knn", "renyi", "matrix")]
    expected.append(block_importances(states, states + 1, states - 1)["mlp"][1].item())
    assert [float(value) for value in values] == pytest.approx(expected, rel=1e-6)


def test_a_kernel_is_compiled_without_a_cache_where_none_can_be_written() -> None:
    def fill(data):
        head = carray(data, (2,))
        while compiling.take(data) < head[1]:
            pass

    cached = []

    def no_cache(signature, cache=False):
        cached.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(signature)

    real = compiling.cfunc
    with patch.object(compiling, "cfunc", no_cache):
        kernel = compiling.kernel(fill)
    head = np.array([0, 1000], dtype=np.int64)
    team.run(kernel.address, head, 10**6)
    assert cached == [True, False]
    assert head[0] >= 1001  # every item was taken, and each thread found none left


@pytest.mark.parametrize("runner", ["on_openmp_threads", "on_python_threads"])
def test_every_item_is_taken_by_one_thread(runner: str) -> None:
    run = team.on_openmp_threads() if runner == "on_openmp_threads" else team.on_python_threads
    if run is None:
        assert not sys.platform.startswith("linux")
        return
    seen: list[int] = []

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    def one_thread(data: int) -> None:
        seen.append(data)

    address = ctypes.cast(one_thread, ctypes.c_void_p).value
    assert address is not None
    run(address, 4711, 3)
    assert 1 <= len(seen) <= 3
    assert set(seen) == {4711}


def test_eight_python_threads_at_once_get_their_own_right_numbers() -> None:
    every = [
        hidden_states(3, 100, 200, seed, kind)
        for seed, kind in enumerate(["plain", "outlier", "near", "twins"] * 2)
    ]

    def measure(states: torch.Tensor) -> list[list[float]]:
        found = [estimator(name)(states).tolist() for name in ("bucket", "knn", "renyi")]
        return found + [
            value.tolist() for value in block_importances(states, states + 1, states - 2).values()
        ]

    for way in ("kernels", "kernels on Python threads"):
        with running_on(way):
            alone = [measure(states) for states in every]
            with ThreadPoolExecutor(8) as pool:
                for _ in range(10):
                    for got, expected in zip(pool.map(measure, every), alone, strict=True):
                        assert np.array(got) == pytest.approx(np.array(expected), rel=1e-9)


def test_states_too_long_for_the_kernels_go_to_torch() -> None:
    assert kernels.apply_to(torch.empty(1, 32768, 1))
    assert not kernels.apply_to(torch.empty(1, 32769, 1))
    assert not kernels.apply_to(torch.empty(1, 30, 1, device="meta"))
