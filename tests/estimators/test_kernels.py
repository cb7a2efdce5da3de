"""What the compiled kernels guarantee besides the right numbers: late loading, a fallback without them, threads."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import numpy as np
import pytest
import torch

from entviz import kernels
from entviz.estimators import block_importances, estimator
from entviz.kernels import compiling, threads
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
import threading
sys.modules["numba"] = None  # importing it raises ImportError
import torch
from entviz import kernels
from entviz.estimators import block_importances, entropies, estimator
states = torch.randn(2, 40, 24, generator=torch.Generator().manual_seed(5))
print(kernels.load(), *(estimator(name)(states)[1].item() for name in entropies()),
      block_importances(states, states + 1, states - 1)["mlp"][1].item())
"""
    none, *values = python(script).split()
    states = torch.randn(2, 40, 24, generator=torch.Generator().manual_seed(5))
    assert none == "None"
    expected = [estimator(name)(states)[1].item() for name in ("bucket", "knn", "renyi", "matrix")]
    expected.append(block_importances(states, states + 1, states - 1)["mlp"][1].item())
    assert [float(value) for value in values] == pytest.approx(expected, rel=1e-6)


def test_a_kernel_is_compiled_without_a_cache_where_none_can_be_written() -> None:
    def fill(first, last, numbers):
        for item in range(first, last):
            numbers[item] += item

    cached = []

    def no_cache(signature, cache=False, **options):
        cached.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(signature, **options)

    real = compiling.njit
    with patch.object(compiling, "njit", no_cache):
        kernel = compiling.kernel("float64[::1]")(fill)
    numbers = np.zeros(1000)
    threads.run(kernel, 1000, 10**6, numbers)
    assert cached == [True, False]
    assert np.array_equal(numbers, np.arange(1000))


@pytest.mark.parametrize("busy", [False, True])
def test_every_item_is_done_once(busy: bool) -> None:
    done: list[int] = []
    free = threading.Event()
    with ThreadPoolExecutor(2) as pool, patch.object(threads, "_pool", return_value=pool):
        if busy:  # helpers that never come: the caller does their share
            for _ in range(2):
                pool.submit(free.wait, 60)
        with patch.object(torch, "get_num_threads", return_value=3):
            threads.run(lambda first, last: done.extend(range(first, last)), 10, 10**9)
        free.set()
    assert sorted(done) == list(range(10))


def test_what_fails_in_a_helper_fails_in_the_caller() -> None:
    def fails(first: int, last: int) -> None:
        if first > 0:
            raise ValueError("here")

    with patch.object(torch, "get_num_threads", return_value=2), pytest.raises(ValueError, match="here"):
        threads.run(fails, 2, 10**9)


def test_arrays_of_another_type_or_layout_are_refused() -> None:
    products = torch.zeros(2, 30, 30)
    with pytest.raises(TypeError):
        kernels.kth_squared_distance(products.double(), 5)
    with pytest.raises(TypeError):
        kernels.kth_squared_distance(products[:, :, ::2], 5)
    with pytest.raises(TypeError):
        kernels.bucket(products.half(), 20)


def test_kernels_give_the_same_whatever_the_default_type_of_the_process() -> None:
    states = hidden_states(3, 40, 64, 0, "near")
    logits = torch.randn(5, 300, generator=torch.Generator().manual_seed(1))[:, :200]

    def measured() -> list[torch.Tensor]:
        found = [estimator(name)(states) for name in ("bucket", "knn", "renyi", "matrix")]
        found += block_importances(states, states + 1, states - 2).values()
        maxima = torch.full((5,), -torch.inf, dtype=torch.float32)
        totals, best = torch.zeros(5, dtype=torch.float64), torch.zeros(5, dtype=torch.long)
        for tile in (logits, logits.bfloat16()):
            kernels.add_exponentials(tile, 0, maxima, totals, best)
        return [*found, maxima, totals, best]

    with running_on("kernels"):
        expected = measured()
        torch.set_default_dtype(torch.bfloat16)
        try:
            found = measured()
        finally:
            torch.set_default_dtype(torch.float32)
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


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

    with running_on("kernels"):
        alone = [measure(states) for states in every]
        with ThreadPoolExecutor(8) as pool:
            for _ in range(10):
                for got, expected in zip(pool.map(measure, every), alone, strict=True):
                    assert np.array(got) == pytest.approx(np.array(expected), rel=1e-9)


def test_states_too_long_for_the_kernels_go_to_torch() -> None:
    assert kernels.apply_to(torch.empty(1, 32768, 1))
    assert not kernels.apply_to(torch.empty(1, 32769, 1))
    assert not kernels.apply_to(torch.empty(1, 30, 1, device="meta"))
