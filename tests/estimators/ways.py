"""The ways to run an estimator, and states to run it on."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from hypothesis import strategies as st

from entviz import kernels
from entviz.kernels import threads

WAYS = ("kernels", "torch")


@contextmanager
def running_on(way: str) -> Iterator[None]:
    """Within it, estimators run in that way and in no other, kernels on three threads however little there is to do."""
    if way == "torch":
        with patch.object(kernels, "apply_to", return_value=False):
            yield
        return
    assert kernels.load() is not None
    with (
        patch.object(threads, "NUMBERS_WORTH_A_THREAD", 1),
        patch.object(torch, "get_num_threads", return_value=3),
    ):
        yield


def hidden_states(windows: int, tokens: int, width: int, seed: int, kind: str = "plain") -> torch.Tensor:
    """Random states, some with what hidden states are known for."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(windows, tokens, width, generator=generator)
    if (
        kind == "outlier"
    ):  # a dimension far larger than the others, and a token that has all of its norm there
        states[:, :, 0] += 300
        states[:, 0, width // 2] += 3000
    elif kind == "near":  # tokens very near to one another and far from the origin
        states = states * 1e-3 + 10 * torch.randn(windows, 1, width, generator=generator)
    elif kind == "twins":  # the same few tokens over and over, as at the embedding of a repetitive text
        states = states[:, torch.arange(tokens) % 3]
    elif kind == "constant":
        states[:, :, ::2] = states[:, :1, ::2]
    return states


KINDS = ("plain", "outlier", "near", "twins", "constant")


@st.composite
def any_states(draw: st.DrawFn, fewest: int = 2, kinds: tuple[str, ...] = KINDS) -> torch.Tensor:
    return hidden_states(
        draw(st.integers(1, 3)),
        draw(st.integers(fewest, 70)),
        draw(st.integers(1, 150)),
        draw(st.integers(0, 2**31)),
        draw(st.sampled_from(kinds)),
    )


@st.composite
def dyadic_states(draw: st.DrawFn, fewest: int = 2) -> torch.Tensor:
    """States that are multiples of 1/64 up to 8: shifting them by whole numbers is exact in float32."""
    states = draw(any_states(fewest, ("plain",)))
    return (states * 64).round().clamp(-512, 512) / 64
