import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from entviz import kernels
from entviz.errors import OptionError
from entviz.estimators.knn import NearestNeighbours, kth_squared_distance_by_torch
from entviz.estimators.states import gram
from tests.estimators import slow
from tests.estimators.ways import KINDS, WAYS, any_states, dyadic_states, hidden_states, running_on


@pytest.mark.parametrize("way", WAYS)
@given(states=any_states(), k=st.integers(1, 40))
def test_is_the_definition(way: str, states: torch.Tensor, k: int) -> None:
    k = min(k, states.shape[1] - 1)
    with running_on(way):
        got = NearestNeighbours(k)(states)
    for window, entropy in zip(states.numpy(), got.tolist(), strict=True):
        # An error of the entropy divided by the width is a relative error of the typical radius.
        assert entropy == pytest.approx(slow.knn(window, k), abs=3e-4 * window.shape[1], rel=1e-6)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_is_the_definition_at_the_size_of_a_model(way: str, kind: str) -> None:
    states = hidden_states(2, 256, 576, 3, kind)
    with running_on(way):
        got = NearestNeighbours()(states)
    for window, entropy in zip(states.numpy(), got.tolist(), strict=True):
        assert entropy == pytest.approx(slow.knn(window), rel=1e-4)


@pytest.mark.parametrize("way", WAYS)
@given(states=dyadic_states(5), shift=st.integers(-4096, 4096), seed=st.integers(0, 1000))
def test_neither_shift_nor_order_matters(way: str, states: torch.Tensor, shift: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    tokens, dimensions = (torch.randperm(size, generator=generator) for size in states.shape[1:])
    with running_on(way):
        plain = NearestNeighbours(4)(states)
        near = {"rtol": 0, "atol": 3e-4 * states.shape[2]}
        torch.testing.assert_close(NearestNeighbours(4)(states + shift), plain, **near)
        torch.testing.assert_close(NearestNeighbours(4)(states[:, tokens][:, :, dimensions]), plain, **near)


@pytest.mark.parametrize("way", WAYS)
@given(states=any_states(5, ("plain", "outlier", "near")), power=st.integers(-4, 12))
def test_scaling_adds_width_times_log_of_the_factor(way: str, states: torch.Tensor, power: int) -> None:
    width, factor = states.shape[2], 2.0**power  # by a power of two, so that the scaled states are exact
    with running_on(way):
        expected = NearestNeighbours(3)(states) + width * math.log(factor)
        got = NearestNeighbours(3)(states * factor)
    torch.testing.assert_close(
        got, expected, rtol=0, atol=1e-3 * width
    )  # 1e-10 inside the log does not scale


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("factor", [0.01, 0.3, 7.7, 1000])
def test_scaling_a_model_s_states(way: str, factor: float) -> None:
    states = hidden_states(2, 200, 300, 11, "outlier")
    with running_on(way):
        expected = NearestNeighbours()(states) + 300 * math.log(factor)
        torch.testing.assert_close(NearestNeighbours()(states * factor), expected, rtol=0, atol=1e-4 * 300)


@pytest.mark.parametrize("way", WAYS)
def test_tokens_with_k_twins_are_at_distance_zero(way: str) -> None:
    states = 100 * hidden_states(1, 120, 33, 4, "twins")  # three tokens, forty times each
    with running_on(way):
        assert NearestNeighbours(39)(states).item() == pytest.approx(
            33 * math.log(1e-10) + 33 / 2 * math.log(math.pi) - math.lgamma(33 / 2 + 1) + math.log(120 / 39)
        )
        assert NearestNeighbours(40)(states).item() == pytest.approx(
            slow.knn(states[0].numpy(), 40), rel=1e-6
        )


@pytest.mark.parametrize("tokens", [1, 2, 25])
def test_too_few_tokens_is_a_clear_error(tokens: int) -> None:
    with pytest.raises(
        OptionError, match=f"needs at least 26 tokens in a window; these windows have {tokens}: .*smaller k"
    ):
        NearestNeighbours()(torch.zeros(2, tokens, 8))
    NearestNeighbours()(torch.zeros(2, 26, 8))


@given(seed=st.integers(0, 2**31), tokens=st.integers(2, 300), data=st.data())
def test_selection_by_kernel_and_by_torch_pick_the_same_value(
    seed: int, tokens: int, data: st.DataObject
) -> None:
    # Whole numbers: the Gram matrix is exact, and there are many ties.
    products = gram((3 * hidden_states(2, tokens, 4, seed)).round())
    k = data.draw(st.integers(1, tokens - 1))
    assert torch.equal(kernels.kth_squared_distance(products, k), kth_squared_distance_by_torch(products, k))
