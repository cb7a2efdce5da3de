import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from entviz.estimators import estimator
from entviz.estimators.bucket import Bucket
from tests.estimators import slow
from tests.estimators.ways import WAYS, any_states, dyadic_states, hidden_states, running_on


@pytest.mark.parametrize("way", WAYS)
@given(states=any_states(1), buckets=st.sampled_from([2, 3, 20, 64, 300]))
def test_is_the_definition(way: str, states: torch.Tensor, buckets: int) -> None:
    with running_on(way):
        got = Bucket(buckets)(states)
    for window, entropy in zip(states.numpy(), got.tolist(), strict=True):
        slack = slow.bucket_slack(window, buckets)
        assert entropy == pytest.approx(slow.bucket(window, buckets), abs=slack)


@pytest.mark.parametrize("way", WAYS)
@given(states=dyadic_states(), shift=st.integers(-1000, 1000), seed=st.integers(0, 1000))
def test_neither_shift_nor_order_nor_a_dimension_s_scale_matters(
    way: str, states: torch.Tensor, shift: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    tokens, dimensions = (torch.randperm(size, generator=generator) for size in states.shape[1:])
    scale = 2.0 ** torch.randint(-8, 8, states.shape[2:], generator=generator)
    with running_on(way):
        plain = Bucket()(states)
        assert torch.equal(Bucket()(states + shift), plain)
        assert torch.equal(Bucket()(states[:, tokens]), plain)
        torch.testing.assert_close(
            Bucket()((states * scale)[:, :, dimensions]), plain, rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("way", WAYS)
def test_a_constant_dimension_has_no_entropy(way: str) -> None:
    states = hidden_states(2, 50, 7, 1)
    constant = torch.cat([states, torch.full((2, 50, 4), 0.1)], dim=2)
    with running_on(way):
        torch.testing.assert_close(Bucket()(constant), Bucket()(states), rtol=1e-12, atol=0)
        assert Bucket()(constant[:, :, 7:]).abs().max() < 1e-12


@pytest.mark.parametrize("way", WAYS)
def test_the_largest_value_falls_in_the_last_bucket(way: str) -> None:
    # Buckets [0, 1), [1, 2), ... [19, 20]: one value in each but the last, which has 19 and 20.
    states = torch.arange(21.0).reshape(1, 21, 1)
    with running_on(way):
        got = Bucket(20)(states).item()
    assert got == pytest.approx(19 / 21 * math.log(21) + 2 / 21 * math.log(21 / 2), rel=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_ranges_at_both_ends_of_float32(way: str) -> None:
    tiny = torch.tensor([0.0, 1e-44]).reshape(1, 2, 1)  # 20 / range overflows: counts as constant
    huge = torch.tensor([-3e38, 3e38]).reshape(1, 2, 1)  # the range itself overflows
    small = torch.tensor([0.0, 1e-30]).reshape(1, 2, 1)
    with running_on(way):
        assert Bucket()(tiny).item() == pytest.approx(0, abs=1e-12)
        assert Bucket()(huge).isnan().all()
        assert Bucket()(small).item() == pytest.approx(math.log(2))


def test_more_dimensions_than_one_thread_takes_at_a_time() -> None:
    states = hidden_states(3, 300, 1000, 5)
    whole = Bucket()(states)
    parts = sum(Bucket()(states[:, :, i : i + 77]) for i in range(0, 1000, 77))
    torch.testing.assert_close(whole, parts, rtol=1e-12, atol=0)
    assert np.allclose(whole, [slow.bucket(w) for w in states.numpy()], rtol=1e-3)


def test_is_the_default_of_the_registry() -> None:
    assert estimator("bucket") == Bucket(20)
