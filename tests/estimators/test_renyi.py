import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from entviz.errors import OptionError
from entviz.estimators.renyi import Renyi
from tests.estimators import slow
from tests.estimators.ways import WAYS, any_states, dyadic_states, hidden_states, running_on

ORDERS = (0.5, 1, 2, 4, 10)


@pytest.mark.parametrize("way", WAYS)
@example(states=torch.tensor([[[3300.6614], [300.2669], [300.0617]]]), alpha=1)
@given(states=any_states(3, ("plain", "outlier", "near", "constant")), alpha=st.sampled_from(ORDERS))
def test_is_the_definition(way: str, states: torch.Tensor, alpha: float) -> None:
    with running_on(way):
        got = Renyi(alpha)(states)
    for window, entropy in zip(states.numpy(), got.tolist(), strict=True):
        assert entropy == pytest.approx(slow.renyi(window, alpha), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("alpha", ORDERS)
def test_is_the_definition_at_the_size_of_a_model(way: str, alpha: float) -> None:
    states = hidden_states(2, 256, 576, 3, "outlier")
    with running_on(way):
        got = Renyi(alpha)(states)
    for window, entropy in zip(states.numpy(), got.tolist(), strict=True):
        assert entropy == pytest.approx(slow.renyi(window, alpha), rel=1e-5)


@pytest.mark.parametrize("way", WAYS)
@given(states=dyadic_states(4), shift=st.integers(-500, 500), seed=st.integers(0, 1000))
def test_neither_shift_nor_scale_nor_order_matters(
    way: str, states: torch.Tensor, shift: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    tokens, dimensions = (torch.randperm(size, generator=generator) for size in states.shape[1:])
    with running_on(way):
        plain = Renyi()(states)
        near = {"rtol": 2e-4, "atol": 1e-6}
        torch.testing.assert_close(Renyi()(states + shift), plain, **near)
        torch.testing.assert_close(Renyi()(4 * states), plain, **near)
        torch.testing.assert_close(Renyi()(states[:, tokens][:, :, dimensions]), plain, **near)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("alpha", ORDERS)
def test_one_token_over_and_over_has_no_entropy(way: str, alpha: float) -> None:
    with running_on(way):
        got = Renyi(alpha)(torch.full((2, 9, 5), 0.1))
    # For alpha = 1 the definition gives the entropy of a uniform choice among the tokens.
    torch.testing.assert_close(got, torch.tensor([9.0, 9.0]).double().log() * (alpha == 1))


@pytest.mark.parametrize("way", WAYS)
def test_the_median_of_two_tokens_is_the_distance_of_one_to_itself(way: str) -> None:
    with running_on(way):  # of 0, 0, r, r the lower middle one is 0, so only a token itself is similar to it
        got = Renyi(2)(torch.tensor([[[0.0, 1.0], [2.0, 5.0]]])).item()
    assert got == pytest.approx(-torch.tensor((1 + 1e-10) / 2).log().item(), rel=1e-6)


def test_too_few_tokens_is_a_clear_error() -> None:
    with pytest.raises(
        OptionError, match="renyi estimator needs at least 2 tokens in a window; these windows have 1"
    ):
        Renyi()(torch.zeros(3, 1, 4))
